#include "imgsim/cdf_codes.hpp"

#include <algorithm>
#include <cmath>

namespace imgsim {
namespace {

constexpr std::size_t kCells = 2 * kHalfCode;
// More than rounding can do to the areas of one row, in units.
constexpr double kRounding = 1e-6;
// Of distances, below which they have lost digits: no bound holds there.
constexpr double kSmallestUnit = 0x1p-900;

std::uint8_t rounded_up(double value, std::uint32_t parts) {
  return static_cast<std::uint8_t>(std::min(std::ceil(value * static_cast<double>(parts)), 255.0));
}

}  // namespace

CdfCoder::CdfCoder(const Wasserstein1d& metric) : widths_(metric.widths()) {
  const std::size_t gaps = metric.bins() - 1;
  const auto width = [this](std::size_t j) { return widths_ == nullptr ? 1.0 : widths_[j]; };
  double all = 0.0;
  for (std::size_t j = 0; j < gaps; ++j) all += width(j);
  double longest = 0.0, done = 0.0;
  std::size_t begin = 0;
  for (std::size_t s = 0; s < kCells && begin < gaps; ++s) {
    // As long as the rest allows, and at least one gap.
    const double wanted = (all - done) / static_cast<double>(kCells - s);
    double length = 0.0;
    std::size_t end = begin;
    while (end < gaps && (end == begin || length + width(end) / 2 <= wanted))
      length += width(end++);
    if (s + 1 == kCells)
      while (end < gaps) length += width(end++);
    cells_.push_back({begin, end});
    longest = std::max(longest, length);
    done += length;
    begin = end;
  }
  if (!(longest > 0.0)) return;
  cells_.resize(kCells, {gaps, gaps});
  per_area_ = 255.0 / longest;
  unit_ = 2.0 * longest / 255.0 * metric.factor();
  if (unit_ < kSmallestUnit) unit_ = 0.0;
  // Where even the longest distance is no double, bounds would be infinity less infinity.
  slack_ = all * metric.factor() * static_cast<double>(metric.bins() + 64) * 0x1p-50;
  if (!std::isfinite(slack_)) unit_ = 0.0;
}

// The spread: at most what the area of all but the mean leaves, sum |F_j - mean| w_j.
CdfCoder::Area CdfCoder::area_of(const Cell& cell, const double* sums, double scale) const {
  const std::size_t n = cell.end - cell.begin;
  if (n == 0) return {0.0, 0.0};
  const double* s = sums + cell.begin;
  double parts[4] = {};  // sums that do not wait for each other
  if (widths_ != nullptr) {
    const double* w = widths_ + cell.begin;
    double length = 0.0;
    for (std::size_t j = 0; j < n; ++j) {
      parts[0] += s[j] * w[j];
      length += w[j];
    }
    const double mean = length > 0.0 ? parts[0] / length : 0.0;
    for (std::size_t j = 0; j < n; ++j) parts[1] += std::fabs(s[j] - mean) * w[j];
    return {parts[0] * scale, parts[1] * scale};
  }
  std::size_t j = 0;
  for (; j + 4 <= n; j += 4)
    for (std::size_t k = 0; k < 4; ++k) parts[k] += s[j + k];
  for (; j < n; ++j) parts[0] += s[j];
  const double area = (parts[0] + parts[1]) + (parts[2] + parts[3]);
  const double mean = area / static_cast<double>(n);
  double apart[4] = {};
  for (j = 0; j + 4 <= n; j += 4)
    for (std::size_t k = 0; k < 4; ++k) apart[k] += std::fabs(s[j + k] - mean);
  for (; j < n; ++j) apart[0] += std::fabs(s[j] - mean);
  return {area * scale, ((apart[0] + apart[1]) + (apart[2] + apart[3])) * scale};
}

CdfAreas CdfCoder::areas(const double* sums, double total) const {
  const double scale = per_area_ / total;
  CdfAreas found;
  found.spread = kRounding;
  for (std::size_t p = 0; p < kHalfCode; ++p) {
    const Area a = area_of(cells_[2 * p], sums, scale), b = area_of(cells_[2 * p + 1], sums, scale);
    found.coarse[p] = (a.area + b.area) / 2;
    found.fine[p] = (a.area - b.area) / 2 + 128;
    found.spread += (a.spread + b.spread) / 2;
  }
  return found;
}

void CdfCoder::encode(const CdfAreas& areas, const CodeArrays<std::uint8_t>& codes, std::size_t row,
                      std::uint8_t* remainders) const {
  const auto put = [](double value, std::uint8_t* byte) {
    const double rounded = std::clamp(std::floor(value + 0.5), 0.0, 255.0);
    *byte = static_cast<std::uint8_t>(rounded);
    return std::fabs(value - rounded);
  };
  double lost = 2 * kRounding;  // of the row and of a query
  for (std::size_t p = 0; p < kHalfCode; ++p)
    lost += std::max(put(areas.coarse[p], codes.coarse_of(row) + p),
                     put(areas.fine[p], codes.fine_of(row) + p));
  if (remainders != nullptr) {
    const CoarseParts parts = parts_of(areas);
    for (std::size_t p = 0; p < kHalfCode; ++p)
      remainders[p] = static_cast<std::uint8_t>(
          parts.below[p] - static_cast<int>(kParts) * codes.coarse_of(row)[p] + kMiddle);
  }
  codes.lost(row) = rounded_up(lost, kParts);
  codes.spread(row) = rounded_up(areas.spread, kSpreadParts);
}

CoarseParts CdfCoder::parts_of(const CdfAreas& areas) {
  CoarseParts parts;
  for (std::size_t p = 0; p < kHalfCode; ++p) {
    const double exact = std::clamp(areas.coarse[p], 0.0, 255.0) * kParts;
    const double error = kRounding * kParts;
    parts.below[p] = static_cast<std::uint16_t>(std::max(0.0, std::floor(exact - error)));
    parts.above[p] = static_cast<std::uint16_t>(std::ceil(exact + error));
  }
  return parts;
}

std::uint32_t CdfCoder::parts_limit(double distance) const {
  const double most = (distance + slack_) / unit_ * kParts;
  if (!(most < kNoPartsLimit)) return kNoPartsLimit;
  // One more, because of errors here and of at most kRounding in each area of a row in a box.
  return static_cast<std::uint32_t>(most * (1 + 0x1p-50)) + 1;
}

std::uint32_t CdfCoder::limit(double distance, std::uint32_t lost) const {
  const double most = (distance + slack_) / unit_ + static_cast<double>(lost) / kParts;
  if (!(most < kNoLimit)) return kNoLimit;
  // One more, because of rounding errors here.
  return static_cast<std::uint32_t>(most * (1 + 0x1p-50)) + 1;
}

}  // namespace imgsim
