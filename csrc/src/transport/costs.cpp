#include "transport/costs.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

namespace imgsim {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr int kExtreme = 400;  // exponents beyond are scaled away

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

struct Extent {
  double largest = 0.0;
  bool whole = true;
  void include(const double* values, std::size_t count) {
    for (std::size_t k = 0; k < count; ++k) {
      largest = std::max(largest, std::fabs(values[k]));
      whole = whole && values[k] == std::nearbyint(values[k]);
    }
  }
};

}  // namespace

Costs::Costs(const GroundDistance& ground, const Side& rows, const Side& columns, bool transposed,
             Workspace& space)
    : ground_(ground),
      rows_(rows),
      columns_(columns),
      transposed_(transposed),
      threshold_(ground.threshold),
      distances_(distance_row(ground.kind)) {
  if (ground.kind != Ground::matrix)
    load_points(rows, columns, space);
  else
    identity_ = !transposed && is_identity(rows, ground.matrix.rows) &&
                is_identity(columns, ground.matrix.cols);
}

void Costs::load_points(const Side& rows, const Side& columns, Workspace& space) {
  const std::size_t dims = ground_.dims;
  const double* from = transposed_ ? ground_.y : ground_.x;
  const double* to = transposed_ ? ground_.x : ground_.y;
  Extent extent;
  for (std::size_t i = 0; i < rows.size; ++i)
    if (rows.ids[i] != kDummy)
      extent.include(from + static_cast<std::size_t>(rows.ids[i]) * dims, dims);
  for (std::size_t j = 0; j < columns.size; ++j)
    if (columns.ids[j] != kDummy)
      extent.include(to + static_cast<std::size_t>(columns.ids[j]) * dims, dims);
  int shift = extent.largest > 0 ? std::ilogb(extent.largest) : 0;
  if (std::abs(shift) < kExtreme / 2) shift = 0;
  exponent_ = ground_.kind == Ground::squared ? 2 * shift : shift;
  threshold_ = std::ldexp(ground_.threshold, -exponent_);
  y_stride_ = padded_to_columns(columns.size);
  x_ = space.take<double>(rows.size * dims);
  y_ = space.take<double>(dims * y_stride_);
  const auto coordinate = [&](const double* points, std::int32_t id, std::size_t k) {
    if (id == kDummy) return 0.0;
    const double given = points[static_cast<std::size_t>(id) * dims + k];
    return shift == 0 ? given : std::ldexp(given, -shift);
  };
  for (std::size_t i = 0; i < rows.size; ++i)
    for (std::size_t k = 0; k < dims; ++k) x_[i * dims + k] = coordinate(from, rows.ids[i], k);
  for (std::size_t k = 0; k < dims; ++k)
    for (std::size_t j = 0; j < y_stride_; ++j)
      y_[k * y_stride_ + j] = j < columns.size ? coordinate(to, columns.ids[j], k) : 0.0;

  const double largest = std::ldexp(extent.largest, -shift), widest = 2 * largest,
               sides = static_cast<double>(dims);
  bound_ = ground_.kind == Ground::manhattan   ? widest * sides
           : ground_.kind == Ground::squared   ? widest * widest * sides
           : ground_.kind == Ground::euclidean ? widest * std::sqrt(sides)
                                               : widest;
  bound_ = std::min(bound_, threshold_);
  whole_ = shift == 0 && extent.whole && (ground_.kind != Ground::euclidean || dims == 1) &&
           (threshold_ == std::floor(threshold_));
}

void Costs::row(std::size_t i, std::size_t padded, double* out) const {
  const std::size_t m = columns_.size;
  const std::int32_t id = rows_.ids[i];
  if (id == kDummy) {
    std::fill_n(out, m, 0.0);
  } else if (distances_ != nullptr) {
    distances_(x_ + i * ground_.dims, y_, y_stride_, ground_.dims, padded, out);
    if (threshold_ < kInfinity)
      for (std::size_t j = 0; j < m; ++j) out[j] = std::min(out[j], threshold_);
  } else {
    const auto line = static_cast<std::size_t>(id);
    const std::size_t known = m - (m > 0 && columns_.ids[m - 1] == kDummy);
    const double* from = transposed_ ? ground_.matrix.data + line : ground_.matrix.row(line);
    const std::size_t step = transposed_ ? ground_.matrix.stride : 1;
    // Adding 0 makes -0 a 0.
    for (std::size_t j = 0; j < known; ++j)
      out[j] = from[static_cast<std::size_t>(columns_.ids[j]) * step] + 0.0;
    if (threshold_ < kInfinity)
      for (std::size_t j = 0; j < known; ++j) out[j] = std::min(out[j], threshold_);
    if (factor_ != 1.0)
      for (std::size_t j = 0; j < known; ++j) out[j] *= factor_;
  }
  if (m > 0 && columns_.ids[m - 1] == kDummy) out[m - 1] = 0.0;
  std::fill(out + m, out + padded, kInfinity);
}

double Costs::at(std::size_t i, std::size_t j) const {
  const std::int32_t row = rows_.ids[i], column = columns_.ids[j];
  if (row == kDummy || column == kDummy) return 0.0;
  if (distances_ == nullptr) {
    const auto source = static_cast<std::size_t>(transposed_ ? column : row),
               target = static_cast<std::size_t>(transposed_ ? row : column);
    return std::min(ground_.matrix.row(source)[target] + 0.0, threshold_) * factor_;
  }
  const std::size_t dims = ground_.dims;
  double sum = 0.0;
  for (std::size_t k = 0; k < dims; ++k) {
    const double step = x_[i * dims + k] - y_[k * y_stride_ + j];
    if (ground_.kind == Ground::manhattan || dims == 1)
      sum = ground_.kind == Ground::squared ? step * step : sum + std::fabs(step);
    else if (ground_.kind == Ground::chebyshev)
      sum = std::max(std::fabs(step), sum);
    else
      sum += step * step;
  }
  if (ground_.kind == Ground::euclidean && dims != 1) sum = std::sqrt(sum);
  return std::min(sum, threshold_);
}

bool Costs::is_in_place(std::size_t padded) const {
  return identity_ && padded == columns_.size && threshold_ == kInfinity && factor_ == 1.0;
}

void Costs::scale_by(int exponent) {
  exponent_ = exponent;
  factor_ = std::ldexp(1.0, -exponent);
}

}  // namespace imgsim
