#include "transport/costs.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

namespace imgsim {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr int kHighest = 900, kLowest = -900;  // exponents of costs
constexpr double kSquareable = 0x1p500;        // coordinates up to here

DistanceRow distance_row(Ground kind) {
  const KernelTable& table = kernels();
  switch (kind) {
    case Ground::manhattan:
      return table.manhattan;
    case Ground::chebyshev:
      return table.chebyshev;
    case Ground::squared:
      return table.squared;
    case Ground::euclidean:
      return table.euclidean;
    case Ground::matrix:
      break;
  }
  return nullptr;
}

std::size_t padded_to_columns(std::size_t m) {
  return (m + kColumns - 1) / kColumns * kColumns;
}

bool is_identity(const Side& side, std::size_t size) {
  if (side.size != size) return false;
  for (std::size_t k = 0; k < size; ++k)
    if (side.ids[k] != static_cast<std::int32_t>(k)) return false;
  return true;
}

// Of coordinates: the largest and the smallest but 0, by magnitude.
struct Extent {
  double largest = 0.0, smallest = kInfinity;
  bool whole = true;
  void include(double value) {
    const double size = std::fabs(value);
    largest = std::max(largest, size);
    if (size > 0.0) smallest = std::min(smallest, size);
    whole = whole && size < 0x1p51 && (size + 0x1.8p52) - 0x1.8p52 == size;
  }
};

}  // namespace

int excess_exponent(double largest) {
  if (!(largest > 0)) return 0;
  const int level = std::ilogb(largest);
  return level > kHighest ? level - kHighest : level < kLowest ? level - kLowest - 100 : 0;
}

bool has_negative(const MatrixView<double>& matrix) {
  for (std::size_t i = 0; i < matrix.rows; ++i)
    for (std::size_t j = 0; j < matrix.cols; ++j)
      if (matrix.row(i)[j] < 0) return true;
  return false;
}

TransportStatus check_costs(const MatrixView<double>& matrix, Interrupt& interrupt) {
  const std::size_t step = 65536 / std::clamp<std::size_t>(matrix.cols, 1, 65536);
  for (std::size_t i = 0; i < matrix.rows; i += step) {
    const std::size_t rows = std::min(step, matrix.rows - i);
    const bool together = matrix.stride == matrix.cols;
    if (!(together && kernels().all_finite(matrix.row(i), rows * matrix.cols)) &&
        kernels().scan(matrix.row(i), matrix.stride, rows, matrix.cols).bad)
      return TransportStatus::bad_cost;
    if (interrupt.due(1 + rows * matrix.cols / 1024)) return TransportStatus::cancelled;
  }
  return TransportStatus::optimal;
}

Costs::Costs(const GroundDistance& ground, const Side& rows, const Side& columns, bool transposed,
             Workspace& space)
    : ground_(ground),
      rows_(rows),
      columns_(columns),
      transposed_(transposed),
      distances_(distance_row(ground.kind)) {
  if (ground.kind != Ground::matrix)
    load_points(space);
  else
    identity_ = !transposed && is_identity(rows, ground.matrix.rows) &&
                is_identity(columns, ground.matrix.cols);
}

void Costs::load_points(Workspace& space) {
  const std::size_t dims = ground_.dims;
  const double* from = transposed_ ? ground_.y : ground_.x;
  const double* to = transposed_ ? ground_.x : ground_.y;
  y_stride_ = padded_to_columns(columns_.size);
  x_ = space.take<double>(rows_.size * dims);
  y_ = space.take<double>(dims * y_stride_);
  const auto coordinate = [&](const double* points, const Side& side, std::size_t k,
                              std::size_t dim) {
    if (k >= side.size || side.ids[k] == kDummy) return 0.0;
    return points[static_cast<std::size_t>(side.ids[k]) * dims + dim];
  };
  Extent extent;
  for (std::size_t i = 0; i < rows_.size; ++i)
    for (std::size_t k = 0; k < dims; ++k)
      extent.include(x_[i * dims + k] = coordinate(from, rows_, i, k));
  for (std::size_t k = 0; k < dims; ++k)
    for (std::size_t j = 0; j < y_stride_; ++j)
      extent.include(y_[k * y_stride_ + j] = coordinate(to, columns_, j, k));

  const double widest = 2 * extent.largest, sides = static_cast<double>(dims);
  bound_ = ground_.kind == Ground::manhattan   ? widest * sides
           : ground_.kind == Ground::squared   ? widest * widest * sides
           : ground_.kind == Ground::euclidean ? widest * std::sqrt(sides)
                                               : widest;
  bound_ = std::min(bound_, ground_.threshold);
  whole_ = extent.whole && (ground_.kind != Ground::euclidean || dims == 1) &&
           ground_.threshold == std::floor(ground_.threshold);
  const bool squares = dims > 1 && ground_.kind == Ground::euclidean;
  careful_ = squares && (extent.largest > kSquareable || extent.smallest < 0x1p-440);
  scale_by(excess_exponent(std::min(bound_, std::numeric_limits<double>::max())));
}

void Costs::row(std::size_t i, std::size_t padded, double* out) const {
  const std::size_t m = columns_.size;
  const bool has_dummy = m > 0 && columns_.ids[m - 1] == kDummy;
  const std::size_t known = m - has_dummy;
  const std::int32_t id = rows_.ids[i];
  if (id == kDummy) {
    std::fill_n(out, m, 0.0);
  } else {
    if (distances_ != nullptr) {
      distances_(x_ + i * ground_.dims, y_, y_stride_, ground_.dims, padded, out);
      if (careful_)
        for (std::size_t j = 0; j < known; ++j) out[j] = carefully_between(i, j);
    } else {
      const auto line = static_cast<std::size_t>(id);
      const double* from = transposed_ ? ground_.matrix.data + line : ground_.matrix.row(line);
      const std::size_t step = transposed_ ? ground_.matrix.stride : 1;
      for (std::size_t j = 0; j < known; ++j)
        out[j] = from[static_cast<std::size_t>(columns_.ids[j]) * step] + 0.0;  // -0 becomes 0
    }
    if (ground_.threshold < kInfinity)
      for (std::size_t j = 0; j < known; ++j) out[j] = cut(out[j]);
    if (factor_ != 1.0)
      for (std::size_t j = 0; j < known; ++j) out[j] *= factor_;
    if (has_dummy) out[m - 1] = 0.0;
  }
  std::fill(out + m, out + padded, kInfinity);
}

double Costs::given(std::size_t i, std::size_t j) const {
  const std::int32_t row = rows_.ids[i], column = columns_.ids[j];
  if (row == kDummy || column == kDummy) return 0.0;
  double distance;
  if (distances_ == nullptr) {
    const auto source = static_cast<std::size_t>(transposed_ ? column : row),
               target = static_cast<std::size_t>(transposed_ ? row : column);
    distance = ground_.matrix.row(source)[target] + 0.0;
  } else {
    distance = careful_ ? carefully_between(i, j) : between(i, j);
  }
  return cut(distance);
}

// Arcs that a matrix forbids stay forbidden; points that are too far apart for float64 do not.
double Costs::cut(double distance) const {
  if (distance == kInfinity && distances_ == nullptr) return distance;
  return std::min(distance, ground_.threshold);
}

// With the bits that the kernels give.
double Costs::between(std::size_t i, std::size_t j) const {
  const std::size_t dims = ground_.dims;
  const bool absolute =
      ground_.kind == Ground::manhattan || (ground_.kind == Ground::euclidean && dims == 1);
  double sum = 0.0;
  for (std::size_t k = 0; k < dims; ++k) {
    const double step = x_[i * dims + k] - y_[k * y_stride_ + j];
    if (absolute)
      sum += std::fabs(step);
    else if (ground_.kind == Ground::chebyshev)
      sum = std::max(std::fabs(step), sum);
    else
      sum += step * step;
  }
  return ground_.kind == Ground::euclidean && dims != 1 ? std::sqrt(sum) : sum;
}

// The Euclidean distance where squares leave the range: of steps scaled by a power of two, so that
// it has the bits that it would have in a larger range.
double Costs::carefully_between(std::size_t i, std::size_t j) const {
  const std::size_t dims = ground_.dims;
  double largest = 0.0;
  for (std::size_t k = 0; k < dims; ++k)
    largest = std::max(largest, std::fabs(x_[i * dims + k] - y_[k * y_stride_ + j]));
  if (largest == 0.0 || largest == kInfinity) return largest;
  const int level = std::ilogb(largest);
  double sum = 0.0;
  for (std::size_t k = 0; k < dims; ++k) {
    const double step = std::ldexp(x_[i * dims + k] - y_[k * y_stride_ + j], -level);
    sum += step * step;
  }
  return std::ldexp(std::sqrt(sum), level);
}

bool Costs::is_in_place(std::size_t padded) const {
  return identity_ && padded == columns_.size && ground_.threshold == kInfinity && factor_ == 1.0;
}

void Costs::scale_by(int exponent) {
  exponent_ = exponent;
  bound_ = std::ldexp(bound_, -exponent);
  whole_ = whole_ && exponent == 0;
  factor_ = std::ldexp(1.0, -exponent);
}

}  // namespace imgsim
