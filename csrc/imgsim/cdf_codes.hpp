// Codes of distributions on the line: 16 bytes each, from which bounds on W1 follow.
//
// The line from the first bin to the last is cut into 16 cells at bins, as equal as they allow. A_s
// is the area below the CDF in cell s, in units of 1 / 255 of the longest cell. Of each pair of
// neighbouring cells the code holds, as bytes, half the sum and half the difference:
//   coarse c = (A_2p + A_2p+1) / 2,   fine d = (A_2p - A_2p+1) / 2 + 128,   both rounded.
// Because |x| + |y| = max(|x + y|, |x - y|), for two distributions F and F'
//   W1 = area between the CDFs >= unit sum_s |A_s - A'_s|
//      >= 2 unit (sum_p max(|c - c'|, |d - d'|) - L - L') >= 2 unit (sum_p |c - c'| - L - L'),
// where L, kept beside the code and rounded up, is what rounding has lost: the sum over p of the
// larger error of c and d (a query needs no rounding, so its L is 0 where both halves are looked
// at). The coarse half alone rules most rows out. And with the spread
// E = sum_s of the areas between the CDF and its mean in cell s, rounded up and kept as well,
//   W1 <= 2 unit (sum_p max(|c - c'|, |d - d'|) + L + L' + E + E').
// With at most 16 gaps between bins the cells are the gaps, and only rounding is lost.
#pragma once

#include <array>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "imgsim/wasserstein_1d.hpp"

namespace imgsim {

constexpr std::size_t kHalfCode = 8;                   // bytes of either half
constexpr std::size_t kRest = kHalfCode + 2;           // the fine half, what is lost, the spread
constexpr std::size_t kCodeBytes = kHalfCode + kRest;  // of a row
// What boxes around codes are made of (code_tree.hpp): of each coarse byte what rounding has taken.
constexpr std::size_t kRawBytes = kCodeBytes + kHalfCode;

// What a code is rounded from, in units.
struct CdfAreas {
  std::array<double, kHalfCode> coarse, fine;
  double spread;
};

// Where the codes of some rows are: all coarse halves, then of each row the rest.
template <class Byte>
struct CodeArrays {
  Byte *coarse, *rest;

  // Of n rows in one piece of n * kCodeBytes bytes.
  static CodeArrays in(Byte* bytes, std::size_t n) { return {bytes, bytes + n * kHalfCode}; }
  Byte* coarse_of(std::size_t row) const { return coarse + row * kHalfCode; }
  Byte* fine_of(std::size_t row) const { return rest + row * kRest; }
  Byte& lost(std::size_t row) const { return rest[row * kRest + kHalfCode]; }
  Byte& spread(std::size_t row) const { return rest[row * kRest + kHalfCode + 1]; }
};

// A coarse half in parts of a unit, rounded up and down.
struct CoarseParts {
  std::array<std::uint16_t, kHalfCode> above, below;
};

class CdfCoder {
 public:
  // metric.is_area(): p = 1 on a line.
  explicit CdfCoder(const Wasserstein1d& metric);

  // False where all bins lie at one place, or so close to it that distances have few digits.
  bool is_useful() const { return unit_ > 0.0; }

  // Of running sums and their total.
  CdfAreas areas(const double* sums, double total) const;
  // Into row `row`. remainders: eight bytes, or null (see parts_below()).
  void encode(const CdfAreas& areas, const CodeArrays<std::uint8_t>& codes, std::size_t row,
              std::uint8_t* remainders = nullptr) const;
  static CoarseParts parts_of(const CdfAreas& areas);
  // The parts, rounded down, of a coarse byte and its remainder; they are less than one more.
  static std::uint16_t parts_below(std::uint8_t coarse, std::uint8_t remainder) {
    const int parts = coarse * static_cast<int>(kParts) + remainder - kMiddle;
    return static_cast<std::uint16_t>(parts < 0 ? 0 : parts);
  }

  // The largest sum of coarse differences of two codes, which have lost `lost` together, whose
  // distance could be computed as `distance` or less.
  std::uint32_t limit(double distance, std::uint32_t lost) const;
  // The same of the coarse halves themselves, in parts of a unit: nothing is lost.
  std::uint32_t parts_limit(double distance) const;
  // No distance of a query, which is not rounded, to a row can be computed as less ...
  double lower_bound(const CdfAreas& query, const std::uint8_t* coarse, const std::uint8_t* fine,
                     std::uint8_t lost) const {
    return unit_ * (apart(query, coarse, fine) - parts(lost, kParts)) - slack_;
  }
  // ... or as more.
  double upper_bound(const CdfAreas& query, const std::uint8_t* coarse, const std::uint8_t* fine,
                     std::uint8_t lost, std::uint8_t spread) const {
    return unit_ * (apart(query, coarse, fine) + parts(lost, kParts) + query.spread +
                    parts(spread, kSpreadParts)) +
           slack_;
  }

  static constexpr std::uint32_t kParts = 32, kSpreadParts = 2;  // of a unit
  static constexpr std::uint32_t kMostLost = 4 * kParts + 1;     // half a unit in each pair
  static constexpr std::uint32_t kNoLimit = 255 * 8, kNoPartsLimit = 65535;

 private:
  static constexpr int kMiddle = 17;  // a remainder of none
  struct Cell {
    std::size_t begin, end;  // gaps
  };
  struct Area {
    double area, spread;
  };
  static double parts(std::uint8_t value, std::uint32_t of_unit) {
    return static_cast<double>(value) / static_cast<double>(of_unit);
  }
  // sum_p max(|c - c'|, |d - d'|).
  static double apart(const CdfAreas& query, const std::uint8_t* coarse, const std::uint8_t* fine) {
    double sum = 0.0;
    for (std::size_t p = 0; p < kHalfCode; ++p) {
      const double c = std::fabs(query.coarse[p] - coarse[p]);
      const double d = std::fabs(query.fine[p] - fine[p]);
      sum += c < d ? d : c;
    }
    return sum;
  }
  Area area_of(const Cell& cell, const double* sums, double scale) const;

  std::vector<Cell> cells_;
  const double* widths_;   // null: all 1
  double per_area_ = 0.0;  // units in an area of 1, as the sums have it
  double unit_ = 0.0;      // 2 unit, as distances have it
  double slack_ = 0.0;     // of rounding errors in distances
};

}  // namespace imgsim
