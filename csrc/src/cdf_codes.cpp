#include "imgsim/cdf_codes.hpp"

#include <algorithm>
#include <cmath>

#include "kernels/kernel_table.hpp"

namespace imgsim {
namespace {

// More than rounding can do to the areas of one row, in units.
constexpr double kRounding = 1e-6;
// Of distances, below which they have lost digits: no bound holds there.
constexpr double kSmallestUnit = 0x1p-900;

}  // namespace

CdfCoder::CdfCoder(const Wasserstein1d& metric) : widths_(metric.widths()) {
  const std::size_t gaps = metric.bins() - 1;
  const auto width = [this](std::size_t j) { return widths_ == nullptr ? 1.0 : widths_[j]; };
  double all = 0.0;
  for (std::size_t j = 0; j < gaps; ++j) all += width(j);
  double longest = 0.0, done = 0.0;
  std::size_t begin = 0;
  for (std::size_t s = 0; s < kCode && begin < gaps; ++s) {
    // As long as the rest allows, and at least one gap.
    const double wanted = (all - done) / static_cast<double>(kCode - s);
    double length = 0.0;
    std::size_t end = begin;
    while (end < gaps && (end == begin || length + width(end) / 2 <= wanted))
      length += width(end++);
    if (s + 1 == kCode)
      while (end < gaps) length += width(end++);
    cells_.push_back({begin, end});
    longest = std::max(longest, length);
    done += length;
    begin = end;
  }
  if (!(longest > 0.0)) return;
  per_area_ = 255.0 / longest;
  unit_ = longest / 255.0 * metric.factor();
  if (unit_ < kSmallestUnit) unit_ = 0.0;
  slack_ = all * metric.factor() * static_cast<double>(metric.bins() + 64) * 0x1p-50;
}

std::uint8_t CdfCoder::encode(const double* sums, double total, std::uint8_t* code) const {
  const double scale = per_area_ / total;
  double lost = kRounding;
  std::fill_n(code, kCode, std::uint8_t{0});
  for (std::size_t s = 0; s < cells_.size(); ++s) {
    // Four sums, which do not wait for each other.
    double parts[4] = {};
    std::size_t j = cells_[s].begin;
    if (widths_ == nullptr) {
      for (; j + 4 <= cells_[s].end; j += 4)
        for (std::size_t k = 0; k < 4; ++k) parts[k] += sums[j + k];
      for (; j < cells_[s].end; ++j) parts[0] += sums[j];
    } else {
      for (; j < cells_[s].end; ++j) parts[0] += sums[j] * widths_[j];
    }
    const double area = ((parts[0] + parts[1]) + (parts[2] + parts[3])) * scale;
    const double rounded = std::min(std::floor(area + 0.5), 255.0);
    code[s] = static_cast<std::uint8_t>(rounded);
    lost += std::fabs(area - rounded);
  }
  return static_cast<std::uint8_t>(std::min(std::ceil(lost * kLostParts), 255.0));
}

double CdfCoder::lower_bound(std::uint32_t differences, std::uint32_t lost) const {
  return unit_ * (static_cast<double>(differences) - static_cast<double>(lost) / kLostParts) -
         slack_;
}

std::uint32_t CdfCoder::limit(double distance, std::uint32_t lost) const {
  const double most = (distance + slack_) / unit_ + static_cast<double>(lost) / kLostParts;
  if (!(most < kNoLimit)) return kNoLimit;
  // One more, lest rounding here be in the way.
  return static_cast<std::uint32_t>(most * (1 + 0x1p-50)) + 1;
}

}  // namespace imgsim
