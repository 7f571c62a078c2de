// Comparison of histograms that list their occupied bins. Each method needs exact totals, and the
// pairs of counts of the bins that both have; a bin that one side lacks adds what its count alone
// decides.
#include <algorithm>
#include <cmath>

#include "comparison_parts.hpp"
#include "imgsim/histogram_comparison.hpp"
#include "kernels/kernel_table.hpp"

namespace imgsim {
namespace {

constexpr std::uint64_t kMostTotal = (std::uint64_t{1} << 32) - 1;
constexpr std::size_t kBlock = 256;  // pairs that are gathered before they are used

double exact_part(std::uint64_t x, int shift) {
  return static_cast<double>((x >> shift) & 0xFFFFFFFFU);
}

// N x - y z for y, z < 2^32, as if nothing were rounded before the result.
double scaled_difference(double n, std::uint64_t x, std::uint64_t y, std::uint64_t z) {
  ExactSum sum;
  sum.add_product(n * 0x1p32, exact_part(x, 32));
  sum.add_product(n, exact_part(x, 0));
  sum.add_product(-static_cast<double>(y), static_cast<double>(z));
  return sum.value();
}

struct Side {
  SparseView view;
  std::uint64_t total = 0;
  std::uint64_t squares = 0;  // at most the square of the total
  bool good = false;

  Side(const SparseView& given, std::uint64_t bins) : view(given) {
    std::uint64_t sum = 0, sum_of_squares = 0;
    bool ascending = true;
    for (std::size_t i = 0; i < view.size; ++i) {
      const std::uint64_t count = view.counts[i];
      sum += count;
      sum_of_squares += count * count;
    }
    for (std::size_t i = 1; i < view.size; ++i) ascending &= view.keys[i - 1] < view.keys[i];
    total = sum;
    squares = sum_of_squares;
    good = ascending && sum <= kMostTotal && (view.size == 0 || view.keys[view.size - 1] < bins);
  }
};

// ---- what the methods make of the pairs ------------------------------------------------------

class Tally {
 public:
  Tally(Comparison method, bool normalize, const Side& a, const Side& b, std::uint64_t bins)
      : method_(method), normalize_(normalize), a_(a), b_(b), bins_(static_cast<double>(bins)) {
    if (normalize || method == Comparison::bhattacharyya)
      shares_ = Shares(static_cast<double>(a.total), static_cast<double>(b.total));
    fa_ = static_cast<std::uint64_t>(shares_.fa);
    fb_ = static_cast<std::uint64_t>(shares_.fb);
  }

  bool wants_missing() const { return method_ == Comparison::kl; }

  // Counts of n <= kBlock bins that both have.
  void add_common(const std::uint32_t* a, const std::uint32_t* b, std::size_t n) {
    switch (method_) {
      case Comparison::correlation:
        for (std::size_t i = 0; i < n; ++i) products_ += std::uint64_t{a[i]} * b[i];
        return;
      case Comparison::intersection:
        for (std::size_t i = 0; i < n; ++i) smaller_ += std::min(a[i] * fa_, b[i] * fb_);
        return;
      case Comparison::chi2:
        return add_terms(kernels().chi2, a, b, n);
      case Comparison::chi2_alt:
        return add_terms(kernels().chi2_alt, a, b, n);
      case Comparison::bhattacharyya:
        return add_terms(kernels().root_gap, a, b, n);
      case Comparison::kl:
        for (std::size_t i = 0; i < n; ++i)
          if (a[i] != 0) sum_.add(divergence_term(a[i], b[i], shares_));
        return;
    }
  }

  // Counts of bins that `b` lacks; only if wants_missing().
  void add_missing(const std::uint32_t* a, std::size_t n) {
    for (std::size_t i = 0; i < n; ++i)
      if (a[i] != 0) sum_.add(divergence_term(a[i], 0.0, shares_));
  }

  double value() const {
    const bool empty = a_.total == 0 && b_.total == 0;
    // Bins of one side alone, whole numbers: what the others have left of the totals.
    const double alone_a = static_cast<double>(a_.total - common_a_) * shares_.fa;
    const double alone_b = static_cast<double>(b_.total - common_b_) * shares_.fb;
    switch (method_) {
      case Comparison::correlation:
        return correlation();
      case Comparison::intersection:
        return normalize_ && empty ? 1.0 : static_cast<double>(smaller_) / shares_.den;
      case Comparison::chi2:
        return (sum_.value() + alone_a) / shares_.den;
      case Comparison::chi2_alt:
        return 2 * ((sum_.value() + alone_a + alone_b) / shares_.den);
      case Comparison::bhattacharyya:
        if (a_.total == 0 || b_.total == 0) return empty ? 0.0 : 1.0;
        return std::min(std::sqrt((sum_.value() + alone_a + alone_b) / shares_.den / 2), 1.0);
      case Comparison::kl:
        return sum_.value() / shares_.den;
    }
    return 0.0;
  }

 private:
  void add_terms(BinSum term, const std::uint32_t* a, const std::uint32_t* b, std::size_t n) {
    alignas(64) double wide_a[kBlock], wide_b[kBlock];
    kernels().widen_u32(a, n, wide_a);
    kernels().widen_u32(b, n, wide_b);
    sum_.add(term(wide_a, shares_.fa, wide_b, shares_.fb, n));
    for (std::size_t i = 0; i < n; ++i) {
      common_a_ += a[i];
      common_b_ += b[i];
    }
  }

  // All three times the number of bins: whole numbers.
  double correlation() const {
    const double variance_a = scaled_difference(bins_, a_.squares, a_.total, a_.total);
    const double variance_b = scaled_difference(bins_, b_.squares, b_.total, b_.total);
    if (variance_a == 0.0 && variance_b == 0.0)
      return (a_.total == 0) == (b_.total == 0) ? 1.0 : 0.0;
    if (variance_a == 0.0 || variance_b == 0.0) return 0.0;
    return pearson(scaled_difference(bins_, products_, a_.total, b_.total), variance_a, variance_b);
  }

  Comparison method_;
  bool normalize_;
  const Side& a_;
  const Side& b_;
  double bins_;
  Shares shares_;
  std::uint64_t fa_, fb_;
  std::uint64_t products_ = 0, smaller_ = 0;  // below 2^64, as totals are below 2^32
  std::uint64_t common_a_ = 0, common_b_ = 0;
  ExactSum sum_;
};

// ---- which bins both have --------------------------------------------------------------------

// A stretch of two ascending lists of keys, walked without a branch that could be guessed wrong.
template <bool Missing>
class Walk {
 public:
  // a[i, end_a) and b[j, end_b)
  void begin(const SparseView& a, std::size_t i, std::size_t end_a, const SparseView& b,
             std::size_t j, std::size_t end_b) {
    a_ = a, i_ = i, end_a_ = end_a;
    b_ = b, j_ = j, end_b_ = end_b;
  }

  bool goes_on() const { return i_ < end_a_ && j_ < end_b_; }

  void step(Tally* tally) {
    const std::uint32_t key_a = a_.keys[i_], key_b = b_.keys[j_];
    both_a_[n_] = a_.counts[i_];
    both_b_[n_] = b_.counts[j_];
    n_ += key_a == key_b;
    if (n_ == kBlock) give_common(tally);
    if constexpr (Missing) {
      alone_[m_] = a_.counts[i_];
      m_ += key_a < key_b;
      if (m_ == kBlock) give_missing(tally);
    }
    i_ += key_a <= key_b;
    j_ += key_b <= key_a;
  }

  void finish(Tally* tally) {
    while (goes_on()) step(tally);
    give_common(tally);
    if constexpr (Missing) {
      give_missing(tally);
      tally->add_missing(a_.counts + i_, end_a_ - i_);
    }
  }

 private:
  void give_common(Tally* tally) {
    tally->add_common(both_a_, both_b_, n_);
    n_ = 0;
  }
  void give_missing(Tally* tally) {
    tally->add_missing(alone_, m_);
    m_ = 0;
  }

  SparseView a_, b_;
  std::size_t i_ = 0, end_a_ = 0, j_ = 0, end_b_ = 0, n_ = 0, m_ = 0;
  std::uint32_t both_a_[kBlock], both_b_[kBlock], alone_[Missing ? kBlock : 1];
};

std::size_t first_not_below(const SparseView& view, std::uint32_t key) {
  return static_cast<std::size_t>(std::lower_bound(view.keys, view.keys + view.size, key) -
                                  view.keys);
}

// The i whose key cuts the lists so that about `elements` of them lie below it.
std::size_t cut(const SparseView& a, const SparseView& b, std::size_t elements) {
  std::size_t low = 0, high = a.size;
  while (low < high) {
    const std::size_t middle = low + (high - low) / 2;
    if (middle + first_not_below(b, a.keys[middle]) < elements)
      low = middle + 1;
    else
      high = middle;
  }
  return low;
}

// Four stretches at a time: their steps do not wait for each other.
template <bool Missing>
void merge(const SparseView& a, const SparseView& b, Tally* tally) {
  constexpr std::size_t kWalks = 4;
  Walk<Missing> walks[kWalks];
  std::size_t i = 0, j = 0;
  for (std::size_t w = 0; w < kWalks; ++w) {
    const bool last = w + 1 == kWalks;
    const std::size_t end_a =
        last ? a.size : std::max(i, cut(a, b, (a.size + b.size) / kWalks * (w + 1)));
    const std::size_t end_b = end_a == a.size ? b.size : first_not_below(b, a.keys[end_a]);
    walks[w].begin(a, i, end_a, b, std::min(j, end_b), end_b);
    i = end_a;
    j = end_b;
  }
  while (walks[0].goes_on() && walks[1].goes_on() && walks[2].goes_on() && walks[3].goes_on())
    for (Walk<Missing>& walk : walks) walk.step(tally);
  for (Walk<Missing>& walk : walks) walk.finish(tally);
}

ComparisonResult compare(Comparison method, bool normalize, const Side& a, const Side& b,
                         std::uint64_t bins) {
  if (!a.good) return {ComparisonStatus::bad_first, 0};
  if (!b.good) return {ComparisonStatus::bad_second, 0};
  Tally tally(method, normalize, a, b, bins);
  tally.wants_missing() ? merge<true>(a.view, b.view, &tally)
                        : merge<false>(a.view, b.view, &tally);
  return {ComparisonStatus::good, tally.value()};
}

}  // namespace

ComparisonResult compare_sparse(Comparison method, bool normalize, const SparseView& a,
                                const SparseView& b, std::uint64_t bins) {
  const Side first(a, bins), second(b, bins);
  return compare(method, normalize, first, second, bins);
}

ComparisonBatch compare_sparse_one_to_many(Comparison method, bool normalize,
                                           const SparseView& query, const SparseRows& rows,
                                           std::uint64_t bins, std::size_t threads,
                                           const Cancel& cancel, double* out) {
  const Side first(query, bins);
  if (!first.good) return {false, ComparisonStatus::bad_first, 0};
  if (rows.rows == 0) return {};
  const auto mean_size = static_cast<double>(rows.offsets[rows.rows] - rows.offsets[0]) /
                         static_cast<double>(rows.rows);
  const double row_time = 200 + 1.5 * (mean_size + static_cast<double>(query.size));
  return for_each_row(rows.rows, row_time, threads, cancel, out, [&](std::size_t r) {
    return compare(method, normalize, first, Side(rows.row(r), bins), bins);
  });
}

}  // namespace imgsim
