// The distances of a reduced problem: rows and columns are some of the sources and targets, or the
// other way round, or a dummy that costs nothing. Scaled by a power of two where the numbers given
// are extreme.
#pragma once

#include <cstddef>
#include <cstdint>

#include "imgsim/ground_distance.hpp"
#include "kernels/kernel_table.hpp"
#include "transport/workspace.hpp"

namespace imgsim {

// The row or column that takes what only one side has.
constexpr std::int32_t kDummy = -1;

// Sources or targets by number.
struct Side {
  const std::int32_t* ids;  // kDummy may be the last
  std::size_t size;
};

class Costs {
 public:
  // transposed: rows are targets. The sides must outlive this object.
  Costs(const GroundDistance& ground, const Side& rows, const Side& columns, bool transposed,
        Workspace& space);

  // The row's costs times 2^-exponent(), padded with infinity.
  void row(std::size_t i, std::size_t padded, double* out) const;
  double at(std::size_t i, std::size_t j) const;

  // A cost given is the one here times 2^exponent().
  int exponent() const { return exponent_; }
  // For points: no distance is larger; all distances are whole numbers.
  double bound() const { return bound_; }
  bool is_whole() const { return whole_; }
  // The matrix itself, if it can be used where it is.
  bool is_in_place(std::size_t padded) const;
  // For a matrix, whose exponent is known when its values have been looked at.
  void scale_by(int exponent);

 private:
  void load_points(const Side& rows, const Side& columns, Workspace& space);

  const GroundDistance& ground_;
  Side rows_, columns_;
  bool transposed_;
  bool identity_ = false;  // all rows and columns, in order
  int exponent_ = 0;
  double factor_ = 1.0;
  double threshold_;
  double bound_ = 0.0;
  bool whole_ = false;
  DistanceRow distances_ = nullptr;
  double* x_ = nullptr;  // rows x dims
  double* y_ = nullptr;  // dims x y_stride_: coordinate by coordinate
  std::size_t y_stride_ = 0;
};

}  // namespace imgsim
