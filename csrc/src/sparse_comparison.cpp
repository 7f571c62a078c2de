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
      case Comparison::kl: {
        alignas(64) double wide_a[kBlock], wide_b[kBlock];
        kernels().widen_u32(a, n, wide_a);
        kernels().widen_u32(b, n, wide_b);
        return add_divergence(wide_a, wide_b, n, shares_, &sum_);
      }
    }
  }

  // Counts of bins that `b` lacks; only if wants_missing().
  void add_missing(const std::uint32_t* a, std::size_t n) {
    const double none[kBlock] = {};
    alignas(64) double wide[kBlock];
    for (std::size_t i = 0; i < n; i += kBlock) {
      const std::size_t some = std::min(kBlock, n - i);
      kernels().widen_u32(a + i, some, wide);
      add_divergence(wide, none, some, shares_, &sum_);
    }
  }

  double value() const {
    const bool empty = a_.total == 0 && b_.total == 0;
    // Bins of one side alone, whole numbers: what the others have left of the totals.
    const double alone_a = static_cast<double>(a_.total - common_a_) * shares_.fa;
    const double alone_b = static_cast<double>(b_.total - common_b_) * shares_.fb;
    switch (method_) {
      case Comparison::correlation:
        return correlation_of_counts(bins_, {a_.total, a_.squares}, {b_.total, b_.squares},
                                     products_);
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

struct Cursor {
  std::size_t i = 0, j = 0;  // in the lists of `a` and of `b`
  std::size_t common = 0;    // positions gathered
  std::size_t missing = 0;
};

// Walks a stretch of two ascending lists and gathers the positions of the keys that both have.
template <bool Missing>
class Walk {
 public:
  Walk(const SparseView& a, const SparseView& b, Tally* tally) : a_(a), b_(b), tally_(tally) {}

  // From where `before` ends, or the beginning, to position end_a of `a` and the same key of `b`.
  void set(const Walk* before, std::size_t end_a, std::size_t end_b) {
    if (before != nullptr) at_.i = before->end_a_, at_.j = before->end_b_;
    end_a_ = std::max(end_a, at_.i);
    end_b_ = std::max(end_b, at_.j);
  }

  // How many steps can be taken without looking.
  std::size_t steps() const {
    return std::min({kBlock, end_a_ - std::min(at_.i, end_a_), end_b_ - std::min(at_.j, end_b_)});
  }

  // Without a branch that could be guessed wrong. `at` is a copy, which stays in registers.
  void step(Cursor* at) {
    const std::uint32_t key_a = a_.keys[at->i], key_b = b_.keys[at->j];
    common_a_[at->common] = at->i;
    common_b_[at->common] = at->j;
    at->common += key_a == key_b;
    if constexpr (Missing) {
      missing_[at->missing] = at->i;
      at->missing += key_a < key_b;
    }
    at->i += key_a <= key_b;
    at->j += key_b <= key_a;
  }

  const Cursor& at() const { return at_; }

  // After at most kBlock steps.
  void give(const Cursor& at) {
    std::uint32_t counts_a[kBlock], counts_b[kBlock];
    for (std::size_t k = 0; k < at.common; ++k) counts_a[k] = a_.counts[common_a_[k]];
    for (std::size_t k = 0; k < at.common; ++k) counts_b[k] = b_.counts[common_b_[k]];
    tally_->add_common(counts_a, counts_b, at.common);
    if constexpr (Missing) {
      for (std::size_t k = 0; k < at.missing; ++k) counts_a[k] = a_.counts[missing_[k]];
      tally_->add_missing(counts_a, at.missing);
    }
    at_ = {at.i, at.j, 0, 0};
  }

  void finish() {
    while (const std::size_t n = steps()) {
      Cursor at = at_;
      for (std::size_t k = 0; k < n; ++k) step(&at);
      give(at);
    }
    if constexpr (Missing) tally_->add_missing(a_.counts + at_.i, end_a_ - at_.i);
  }

 private:
  const SparseView a_, b_;
  Tally* const tally_;
  Cursor at_;
  std::size_t end_a_ = 0, end_b_ = 0;
  std::size_t common_a_[kBlock], common_b_[kBlock], missing_[Missing ? kBlock : 1];
};

std::size_t first_not_below(const SparseView& view, std::uint32_t key) {
  return static_cast<std::size_t>(std::lower_bound(view.keys, view.keys + view.size, key) -
                                  view.keys);
}

// The i whose key cuts the lists in half.
std::size_t middle_of(const SparseView& a, const SparseView& b) {
  std::size_t low = 0, high = a.size;
  while (low < high) {
    const std::size_t middle = low + (high - low) / 2;
    if (middle + first_not_below(b, a.keys[middle]) < (a.size + b.size) / 2)
      low = middle + 1;
    else
      high = middle;
  }
  return low;
}

// Two halves at a time: their steps do not wait for each other (a third gains little).
template <bool Missing>
void merge(const SparseView& a, const SparseView& b, Tally* tally) {
  Walk<Missing> lower(a, b, tally), upper(a, b, tally);
  const std::size_t middle = middle_of(a, b);
  lower.set(nullptr, middle, middle == a.size ? b.size : first_not_below(b, a.keys[middle]));
  upper.set(&lower, a.size, b.size);
  while (const std::size_t n = std::min(lower.steps(), upper.steps())) {
    Cursor in_lower = lower.at(), in_upper = upper.at();
    for (std::size_t k = 0; k < n; ++k) {
      lower.step(&in_lower);
      upper.step(&in_upper);
    }
    lower.give(in_lower);
    upper.give(in_upper);
  }
  lower.finish();
  upper.finish();
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
