// What the comparisons of dense and of sparse histograms share.
#pragma once

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstddef>
#include <cstdint>

#include "imgsim/histogram_comparison.hpp"
#include "imgsim/parallel.hpp"
#include "kernels/kernel_table.hpp"
#include "transport/exact_sum.hpp"

namespace imgsim {

// What OpenCV puts in the place of a bin of `b` that is 0.
constexpr double kMissing = 1e-10;

// The square root of a square is exact, so a histogram compared with itself gives 1.
inline double pearson(double covariance, double variance_a, double variance_b) {
  return std::clamp(covariance / std::sqrt(variance_a * variance_b), -1.0, 1.0);
}

inline double exact_part(std::uint64_t x, int shift) {
  return static_cast<double>((x >> shift) & 0xFFFFFFFFU);
}

// N x - y z for y, z < 2^32, as if nothing were rounded before the result.
inline double scaled_difference(double n, std::uint64_t x, std::uint64_t y, std::uint64_t z) {
  ExactSum sum;
  sum.add_product(n * 0x1p32, exact_part(x, 32));
  sum.add_product(n, exact_part(x, 0));
  sum.add_product(-static_cast<double>(y), static_cast<double>(z));
  return sum.value();
}

struct CountSums {
  std::uint64_t total;    // below 2^32
  std::uint64_t squares;  // at most the square of the total
};

// Pearson's correlation of whole numbers in so many bins, from their sums and that of the products.
inline double correlation_of_counts(double bins, const CountSums& a, const CountSums& b,
                                    std::uint64_t products) {
  // All three times the number of bins: whole numbers.
  const double variance_a = scaled_difference(bins, a.squares, a.total, a.total);
  const double variance_b = scaled_difference(bins, b.squares, b.total, b.total);
  if (variance_a == 0.0 && variance_b == 0.0) return (a.total == 0) == (b.total == 0) ? 1.0 : 0.0;
  if (variance_a == 0.0 || variance_b == 0.0) return 0.0;
  return pearson(scaled_difference(bins, products, a.total, b.total), variance_a, variance_b);
}

// a fa / den and b fb / den are shares of the totals: products of whole numbers stay whole, and
// histograms that differ in size alone stay equal. Without totals: the numbers themselves.
struct Shares {
  Shares() = default;
  Shares(double total_a, double total_b) {
    if (total_a == total_b || total_a == 0.0 || total_b == 0.0) {
      den = std::max(total_a, total_b);  // an empty histogram stays empty
      if (den == 0.0) den = 1.0;
    } else {
      fa = total_b;
      fb = total_a;
      den = total_a * total_b;
    }
  }
  double fa = 1.0, fb = 1.0, den = 1.0;
};

// p log(p / q) of a bin, times den; a is not 0.
inline double divergence_term(double a, double b, const Shares& shares) {
  const double p = a * shares.fa, q = b != 0.0 ? b * shares.fb : kMissing * shares.den;
  const double ratio = p / q;
  if (ratio > 1e-300 && ratio < 1e300 && q > 1e-290)  // near 1 the ratio has lost what matters
    return p * (ratio > 0.5 && ratio < 2 ? std::log1p((p - q) / q) : std::log(ratio));
  // Logarithms of the factors: the products may have left the range.
  const double log_p = std::log(a) + std::log(shares.fa);
  const double log_q =
      b != 0.0 ? std::log(b) + std::log(shares.fb) : std::log(kMissing) + std::log(shares.den);
  return p * (log_p - log_q);
}

// Adds p log(p / q) of n bins, times den.
inline void add_divergence(const double* a, const double* b, std::size_t n, const Shares& shares,
                           ExactSum* sum) {
  constexpr std::size_t kFew = 64;  // bins whose sum loses next to nothing where terms cancel
  for (std::size_t j = 0; j < n; j += kFew) {
    const std::size_t few = std::min(kFew, n - j);
    double part = 0;
    if (!kernels().divergence(a + j, shares.fa, b + j, shares.fb, kMissing * shares.den, few,
                              &part))
      for (std::size_t k = j; k < j + few; ++k)
        if (a[k] != 0.0) part += divergence_term(a[k], b[k], shares);
    sum->add(part);
  }
}

// out[r] = compare(r).value for all rows; the lowest row whose status is not good stops the batch.
template <class Compare>
ComparisonBatch for_each_row(std::size_t rows, double nanoseconds_per_row, std::size_t threads,
                             const Cancel& cancel, double* out, Compare compare) {
  constexpr double kNanosecondsPerPiece = 1e6;
  const auto grain = static_cast<std::size_t>(kNanosecondsPerPiece / nanoseconds_per_row) + 1;
  threads = useful_threads(threads, nanoseconds_per_row * static_cast<double>(rows));
  std::atomic<std::size_t> bad{rows};
  const bool done =
      parallel_for(rows, grain, threads, cancel, [&](std::size_t begin, std::size_t end) {
        for (std::size_t r = begin; r < end && r < bad.load(std::memory_order_relaxed); ++r) {
          const ComparisonResult result = compare(r);
          out[r] = result.value;
          if (result.status == ComparisonStatus::good) continue;
          std::size_t before = bad.load(std::memory_order_relaxed);
          while (r < before && !bad.compare_exchange_weak(before, r)) {
          }
        }
      });
  if (!done) return {true, ComparisonStatus::good, 0};
  if (bad.load() == rows) return {};
  return {false, compare(bad.load()).status, bad.load()};
}

}  // namespace imgsim
