// Sliced transport: points of space move until their distribution is near that of others.
#pragma once

#include <cstddef>

#include "imgsim/parallel.hpp"
#include "imgsim/views.hpp"

namespace imgsim {

constexpr std::size_t kMostSliced = std::size_t{1} << 24;  // points of each side

// 1 to kMostSliced points, no coordinate beyond 1024; weights above 0 that add up to about 1.
struct WeightedPoints {
  const double* points;   // size x 3
  const double* weights;  // size
  std::size_t size;
};

// Pitie, Kokaram, Dahyot, "Automated colour grading using colour distribution transfer", 2007, with
// the exact transport on a line. For each rotation, three perpendicular directions of length 1: all
// points are projected onto each of them, and move along it by what the mean target of their
// projection under the optimal plan is away. Projections are compared in steps of 2^-24; points
// whose projections are equal so get one target.
//
// directions: rotations x 3 x 3. moved: from.size x 3, where the points come to lie. Sums are taken
// in the order of the projections, in double: the same bits on every machine. Returns false when
// `cancel` stopped the work. O(rotations (from.size + to.size)), 48 bytes of scratch for a point
// that moves and 24 for another.
bool move_sliced(const WeightedPoints& from, const WeightedPoints& to,
                 const MatrixView<double>& directions, const Cancel& cancel, double* moved);

}  // namespace imgsim
