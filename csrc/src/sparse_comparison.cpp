// Comparison of histograms that list their occupied bins. Each method needs exact totals, and the
// pairs of counts of the bins that both have; a bin that one side lacks adds what its count alone
// decides.
#include <algorithm>
#include <cmath>
#include <cstring>
#include <vector>

#include "comparison_parts.hpp"
#include "imgsim/histogram_comparison.hpp"
#include "kernels/kernel_table.hpp"

namespace imgsim {
namespace {

constexpr std::uint64_t kMostTotal = (std::uint64_t{1} << 32) - 1;
constexpr std::size_t kBlock = 1024;  // pairs that are gathered before they are used

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

// Two ascending lists of keys, without a branch that could be guessed wrong.
template <bool Missing>
void merge(const SparseView& a, const SparseView& b, Tally* tally) {
  std::uint32_t both_a[kBlock + 1], both_b[kBlock + 1], alone[Missing ? kBlock + 1 : 1];
  std::size_t i = 0, j = 0, n = 0, m = 0;
  while (i < a.size && j < b.size) {
    const std::uint32_t key_a = a.keys[i], key_b = b.keys[j];
    both_a[n] = a.counts[i];
    both_b[n] = b.counts[j];
    n += key_a == key_b;
    if (n == kBlock) {
      tally->add_common(both_a, both_b, n);
      n = 0;
    }
    if constexpr (Missing) {
      alone[m] = a.counts[i];
      m += key_a < key_b;
      if (m == kBlock) {
        tally->add_missing(alone, m);
        m = 0;
      }
    }
    i += key_a <= key_b;
    j += key_b <= key_a;
  }
  tally->add_common(both_a, both_b, n);
  if constexpr (Missing) {
    tally->add_missing(alone, m);
    tally->add_missing(a.counts + i, a.size - i);
  }
}

// The counts of one histogram by key, in pages of which those without a count are one.
class PagedCounts {
 public:
  PagedCounts(const SparseView& counts, std::uint64_t bins)
      : pages_(static_cast<std::size_t>((bins - 1) >> kPageBits) + 1), table_(kPage) {
    std::size_t last = 0;
    for (std::size_t i = 0; i < counts.size; ++i) {
      const std::size_t page = counts.keys[i] >> kPageBits;
      if (page >= pages_.size()) continue;  // the caller has changed a key
      if (pages_[page] == 0) {
        last += kPage;
        pages_[page] = last;
        table_.resize(last + kPage);
      }
      table_[pages_[page] + (counts.keys[i] & (kPage - 1))] = counts.counts[i];
    }
  }

  // The pairs of counts of `query`, whose table this is, and of a row, in the order of merge().
  void look_up(const SparseView& row, Tally* tally) const {
    std::uint32_t both_query[kBlock + 1], both_row[kBlock + 1];
    std::size_t n = 0;
    for (std::size_t j = 0; j < row.size; ++j) {
      const std::size_t page = row.keys[j] >> kPageBits;
      if (page >= pages_.size()) break;  // the caller has changed a key
      both_query[n] = table_[pages_[page] + (row.keys[j] & (kPage - 1))];
      both_row[n] = row.counts[j];
      n += both_query[n] != 0;
      if (n == kBlock) {
        tally->add_common(both_query, both_row, n);
        n = 0;
      }
    }
    tally->add_common(both_query, both_row, n);
  }

 private:
  static constexpr unsigned kPageBits = 8;
  static constexpr std::size_t kPage = std::size_t{1} << kPageBits;
  std::vector<std::size_t> pages_;  // where a page begins; 0: the empty one
  std::vector<std::uint32_t> table_;
};

}  // namespace

ComparisonResult compare_sparse(Comparison method, bool normalize, const SparseView& a,
                                const SparseView& b, std::uint64_t bins) {
  const Side first(a, bins), second(b, bins);
  if (!first.good) return {ComparisonStatus::bad_first, 0};
  if (!second.good) return {ComparisonStatus::bad_second, 0};
  Tally tally(method, normalize, first, second, bins);
  tally.wants_missing() ? merge<true>(a, b, &tally) : merge<false>(a, b, &tally);
  return {ComparisonStatus::good, tally.value()};
}

ComparisonBatch compare_sparse_one_to_many(Comparison method, bool normalize,
                                           const SparseView& query, const SparseRows& rows,
                                           std::uint64_t bins, std::size_t threads,
                                           const Cancel& cancel, double* out) {
  const Side first(query, bins);
  if (!first.good) return {false, ComparisonStatus::bad_first, 0};
  if (rows.rows == 0) return {};
  // A table of the query's counts pays from a few rows on; where bins that rows lack matter, and
  // where a count of 0 could not be told from none, lists are merged.
  const bool zeros = std::find(query.counts, query.counts + query.size, 0U) !=
                     query.counts + query.size;
  const bool paged = rows.rows >= 4 && method != Comparison::kl && !zeros;
  const PagedCounts table(paged ? query : SparseView{}, paged ? bins : 1);
  const auto mean_size = static_cast<double>(rows.offsets[rows.rows] - rows.offsets[0]) /
                         static_cast<double>(rows.rows);
  const double row_time =
      50 + 2 * mean_size + (paged ? 0.0 : 2 * static_cast<double>(query.size));
  return for_each_row(rows.rows, row_time, threads, cancel, out, [&](std::size_t r) {
    const SparseView row = rows.row(r);
    const Side second(row, bins);
    if (!second.good) return ComparisonResult{ComparisonStatus::bad_second, 0};
    Tally tally(method, normalize, first, second, bins);
    if (paged)
      table.look_up(row, &tally);
    else
      tally.wants_missing() ? merge<true>(query, row, &tally) : merge<false>(query, row, &tally);
    return ComparisonResult{ComparisonStatus::good, tally.value()};
  });
}

}  // namespace imgsim
