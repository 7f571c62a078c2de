// Codes of distributions on the line, kCode bytes each, from which lower bounds on W1 follow.
//
// The line from the first bin to the last is cut into kCode cells at bins, as equal as they allow.
// A_s is the area below the CDF in cell s, in units of 1 / 255 of the longest cell; the code holds
// b_s = A_s rounded, and beside it is kept what that has lost, L = sum_s |A_s - b_s|, rounded up.
// For two distributions
//   W1 = area between the CDFs >= unit sum_s |A_s - A'_s| >= unit (sum_s |b_s - b'_s| - L - L').
// With at most kCode gaps between bins the cells are the gaps, and only rounding is lost.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "imgsim/wasserstein_1d.hpp"

namespace imgsim {

class CdfCoder {
 public:
  // metric.is_area(): p = 1 on a line.
  explicit CdfCoder(const Wasserstein1d& metric);

  // False where all bins lie at one place, or so close to it that distances have few digits.
  bool is_useful() const { return unit_ > 0.0; }

  // code: kCode bytes; returns what is lost, in units / kLostParts.
  std::uint8_t encode(const double* sums, double total, std::uint8_t* code) const;

  // No computed distance can be smaller, for a sum of absolute differences of two codes.
  double lower_bound(std::uint32_t differences, std::uint32_t lost) const;
  // The largest sum of differences whose lower bound is at most `distance`.
  std::uint32_t limit(double distance, std::uint32_t lost) const;

  static constexpr std::uint32_t kLostParts = 16;
  static constexpr std::uint32_t kMostLost = 8 * kLostParts + 1;  // half a unit in each byte
  static constexpr std::uint32_t kNoLimit = 255 * 16;

 private:
  struct Cell {
    std::size_t begin, end;  // gaps
  };

  std::vector<Cell> cells_;
  const double* widths_;   // null: all 1
  double per_area_ = 0.0;  // units in an area of 1, as the sums have it
  double unit_ = 0.0;      // as distances have it
  double slack_ = 0.0;     // of rounding errors in distances
};

}  // namespace imgsim
