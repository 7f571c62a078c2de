// Ground distances: what it costs to move one unit of mass from a source to a target.
#pragma once

#include <cstddef>
#include <limits>

#include "imgsim/parallel.hpp"
#include "imgsim/views.hpp"

namespace imgsim {

enum class Ground { matrix, manhattan, euclidean, chebyshev, squared };

// Either a matrix that the caller has, or points: n x dims and m x dims coordinates in C order.
struct GroundDistance {
  Ground kind = Ground::matrix;
  MatrixView<double> matrix;  // any finite values; +infinity forbids the arc
  const double* x = nullptr;  // sources, finite
  const double* y = nullptr;  // targets, finite
  std::size_t dims = 0;
  // Finite distances above are cut to it (> 0); a cut metric is a metric.
  double threshold = std::numeric_limits<double>::infinity();
  // Source k and target k are the same point, for all k (n = m).
  bool same_points = false;
  // The caller vouches for a matrix: zero diagonal, triangle inequality, source k is target k.
  bool matrix_is_metric = false;
  // The caller has looked: the matrix has no NaN and no -infinity, also where there is no mass.
  bool matrix_is_checked = false;

  // Mass that stays where it is costs nothing and is never worth moving.
  bool common_mass_stays() const {
    return kind == Ground::matrix ? matrix_is_metric : same_points && kind != Ground::squared;
  }
};

// out[i * m + j] = distance of source i and target j, for points. False when cancelled.
bool fill_distances(const GroundDistance& ground, std::size_t n, std::size_t m,
                    const Cancel& cancel, double* out);

enum class Metricity { no, yes, cancelled };

// Whether the matrix has a zero diagonal, no negative or infinite entry, and no detour is shorter
// than the direct way by more than rounding (4 units in the last place). O(n^3 / lanes).
Metricity is_metric(const MatrixView<double>& matrix, const Cancel& cancel);

}  // namespace imgsim
