// The distances of a reduced problem: rows and columns are some of the sources and targets, or the
// other way round, or a dummy that costs nothing. Times a power of two where their sums would leave
// the range of float64.
#pragma once

#include <cstddef>
#include <cstdint>

#include "imgsim/ground_distance.hpp"
#include "imgsim/transport.hpp"
#include "kernels/kernel_table.hpp"
#include "transport/interrupt.hpp"
#include "transport/workspace.hpp"

namespace imgsim {

// The row or column that takes what only one side has.
constexpr std::int32_t kDummy = -1;

// Sources or targets by number.
struct Side {
  const std::int32_t* ids;  // kDummy may be the last
  std::size_t size;
};

// What is to be taken off the exponent of costs as large as this, if anything.
int excess_exponent(double largest);

bool has_negative(const MatrixView<double>& matrix);

// Whether all costs can be used, also those that no plan will look at: optimal, bad_cost,
// cancelled.
TransportStatus check_costs(const MatrixView<double>& matrix, Interrupt& interrupt);

class Costs {
 public:
  // transposed: rows are targets. The sides must outlive this object.
  Costs(const GroundDistance& ground, const Side& rows, const Side& columns, bool transposed,
        Workspace& space);

  // The row's costs times 2^-exponent(), padded with infinity. Distances that float64 cannot hold
  // are infinite.
  void row(std::size_t i, std::size_t padded, double* out) const;
  double at(std::size_t i, std::size_t j) const { return given(i, j) * factor_; }
  // As it was given, without the power of two.
  double given(std::size_t i, std::size_t j) const;
  // About how many microseconds a row takes.
  std::size_t row_weight() const {
    return 1 + columns_.size * (1 + ground_.dims) / (careful_ ? 32 : 1024);
  }

  // A cost given is the one here times 2^exponent().
  int exponent() const { return exponent_; }
  void scale_by(int exponent);
  // For points: no distance is larger; all distances are whole numbers.
  double bound() const { return bound_; }
  bool is_whole() const { return whole_; }
  // The matrix itself can be used where it is.
  bool is_in_place(std::size_t padded) const;

 private:
  void load_points(Workspace& space);
  double cut(double distance) const;
  double between(std::size_t i, std::size_t j) const;
  double carefully_between(std::size_t i, std::size_t j) const;

  const GroundDistance ground_;
  Side rows_, columns_;
  bool transposed_;
  bool identity_ = false;  // all rows and columns, in order
  bool careful_ = false;   // squares may leave the range
  int exponent_ = 0;
  double factor_ = 1.0;
  double bound_ = 0.0;
  bool whole_ = false;
  DistanceRow distances_ = nullptr;
  double* x_ = nullptr;  // rows x dims
  double* y_ = nullptr;  // dims x y_stride_: coordinate by coordinate
  std::size_t y_stride_ = 0;
};

}  // namespace imgsim
