// Comparisons of two histograms bin by bin, in float64; the formulas are those of OpenCV's
// compareHist, over the true number N of bins:
//
//   correlation    sum (a-A)(b-B) / sqrt(sum (a-A)^2 sum (b-B)^2), A and B the means
//   chi2           sum (a-b)^2 / a over a != 0: bins that `a` lacks do not count
//   chi2_alt       2 sum (a-b)^2 / (a+b) over a+b != 0
//   intersection   sum min(a, b)
//   bhattacharyya  sqrt(1 - sum sqrt(a b) / sqrt(sum a sum b)), evaluated without cancellation as
//                  sqrt(1/2 sum (sqrt(a / sum a) - sqrt(b / sum b))^2), Hellinger's distance
//   kl             sum a log(a / b) over a != 0, with 1e-10 for a b of 0
//
// Where the formula says nothing: correlation without variation on either side is 1 (both empty, or
// both constant and of one sign), on one side or with an empty side 0; bhattacharyya of two empty
// histograms is 0, of an empty and a filled one 1. `normalize` divides each histogram by its total
// first, an empty one stays empty, and two empty ones intersect in 1. A histogram compared with
// itself gives exactly 1 (correlation, normalised intersection) or 0 (the distances).
//
// Rounding errors stay below about 1e-13 of the largest partial sum. O(bins), or O(occupied bins).
// Every thread count and instruction set gives the same bits (kl: with the same C library).
#pragma once

#include <cstddef>
#include <cstdint>

#include "imgsim/parallel.hpp"
#include "imgsim/sparse_histogram.hpp"

namespace imgsim {

enum class Comparison { correlation, chi2, intersection, bhattacharyya, chi2_alt, kl };

enum class ComparisonStatus {
  good,
  bad_first,     // an element of `a` is NaN, infinite, an integer above 2^53, or is negative though
  bad_second,    // bhattacharyya, kl and normalize take roots, logarithms and shares; of `b`
  out_of_range,  // the result is beyond float64
};

// Contiguous histograms of `bins` numbers each, one after the other.
struct BinRows {
  enum class Type { f64, f32, u32, i64 } type = Type::f64;
  const void* data = nullptr;
  std::size_t rows = 1;
  std::size_t bins = 0;
};

struct ComparisonResult {
  ComparisonStatus status = ComparisonStatus::good;
  double value = 0;
};

// Where a batch had to stop: the first row whose status is not good.
struct ComparisonBatch {
  bool cancelled = false;
  ComparisonStatus status = ComparisonStatus::good;
  std::size_t row = 0;
};

// The first rows of `a` and `b`, which have as many bins. Up to 1024 bins nothing is allocated.
ComparisonResult compare_histograms(Comparison method, bool normalize, const BinRows& a,
                                    const BinRows& b);
// out[r] = comparison of `query`, which is `a`, and row r.
ComparisonBatch compare_one_to_many(Comparison method, bool normalize, const BinRows& query,
                                    const BinRows& rows, std::size_t threads, const Cancel& cancel,
                                    double* out);

// The same for histograms that list their occupied bins out of `bins` <= 2^32; totals are below
// 2^32. Sums of counts and of their products are exact. bad_first, bad_second: keys do not ascend
// or are not below `bins`, or the total is too large.
ComparisonResult compare_sparse(Comparison method, bool normalize, const SparseView& a,
                                const SparseView& b, std::uint64_t bins);
// The rows lie as SparseRows says.
ComparisonBatch compare_sparse_one_to_many(Comparison method, bool normalize,
                                           const SparseView& query, const SparseRows& rows,
                                           std::uint64_t bins, std::size_t threads,
                                           const Cancel& cancel, double* out);

}  // namespace imgsim
