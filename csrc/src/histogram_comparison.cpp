#include "imgsim/histogram_comparison.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "comparison_parts.hpp"
#include "kernels/kernel_table.hpp"

namespace imgsim {
namespace {

constexpr std::size_t kBlock = 1024;  // bins that are summed in lanes before blocks are added up
constexpr double kMostExact = 0x1p53;

// ---- values of any type as blocks of doubles -------------------------------------------------

class Blocks {
 public:
  Blocks() = default;
  Blocks(const BinRows& rows, std::size_t row)
      : type_(rows.type), bins_(rows.bins), data_(rows.data) {
    const std::size_t begin = row * rows.bins;
    switch (type_) {
      case BinRows::Type::f64:
        data_ = static_cast<const double*>(data_) + begin;
        return;
      case BinRows::Type::f32:
        data_ = static_cast<const float*>(data_) + begin;
        return;
      case BinRows::Type::u32:
        data_ = static_cast<const std::uint32_t*>(data_) + begin;
        return;
      case BinRows::Type::i64:
        data_ = static_cast<const std::int64_t*>(data_) + begin;
        return;
    }
  }

  std::size_t bins() const { return bins_; }
  bool is_whole() const { return type_ == BinRows::Type::i64; }

  // Bins [begin, begin + n), in `scratch` unless they are doubles already.
  const double* at(std::size_t begin, std::size_t n, double* scratch) const {
    switch (type_) {
      case BinRows::Type::f64:
        return static_cast<const double*>(data_) + begin;
      case BinRows::Type::f32:
        kernels().widen_f32(static_cast<const float*>(data_) + begin, n, scratch);
        break;
      case BinRows::Type::u32:
        kernels().widen_u32(static_cast<const std::uint32_t*>(data_) + begin, n, scratch);
        break;
      case BinRows::Type::i64: {
        const auto* whole = static_cast<const std::int64_t*>(data_) + begin;
        for (std::size_t j = 0; j < n; ++j) scratch[j] = static_cast<double>(whole[j]);
        break;
      }
    }
    return scratch;
  }

 private:
  BinRows::Type type_ = BinRows::Type::f64;
  std::size_t bins_ = 0;
  const void* data_ = nullptr;
};

template <class Use>
void for_each_block(std::size_t bins, Use use) {
  for (std::size_t begin = 0; begin < bins; begin += kBlock)
    use(begin, std::min(kBlock, bins - begin));
}

// One of the two histograms and what is known about its values.
struct Side {
  Blocks blocks;
  double total = 0;
  double least = std::numeric_limits<double>::infinity();
  double largest = -std::numeric_limits<double>::infinity();
  bool finite = true;

  Side() = default;
  explicit Side(const Blocks& values) : blocks(values) {
    alignas(64) double scratch[kBlock];
    ExactSum sum;
    Outline outline{0, least, largest};
    for_each_block(blocks.bins(), [&](std::size_t begin, std::size_t n) {
      kernels().outline(blocks.at(begin, n, scratch), n, &outline);
      sum.add(outline.sum);
    });
    total = sum.value();
    least = outline.least;
    largest = outline.largest;
    if (!std::isfinite(total)) finite = all_finite();
  }

  double magnitude() const { return std::max(-least, largest); }
  bool is_constant() const { return least == largest; }
  bool is_empty() const { return least == 0.0 && largest == 0.0; }
  bool is_good(bool negative_allowed) const {
    return finite && (negative_allowed || least >= 0.0) &&
           !(blocks.is_whole() && magnitude() > kMostExact);
  }
  // A power of two would bring the magnitudes to about 1, where no product leaves the range.
  bool is_extreme() const {
    const double size = magnitude();
    return size != 0.0 && !(size >= 0x1p-200 && size <= 0x1p200);
  }

 private:
  bool all_finite() const {
    alignas(64) double scratch[kBlock];
    bool all = true;
    for_each_block(blocks.bins(), [&](std::size_t begin, std::size_t n) {
      const double* x = blocks.at(begin, n, scratch);
      all = all && std::all_of(x, x + n, [](double value) { return std::isfinite(value); });
    });
    return all;
  }
};

bool takes_negative(Comparison method, bool normalize) {
  if (method == Comparison::correlation) return true;
  return !normalize && method != Comparison::bhattacharyya && method != Comparison::kl;
}

// Whether a factor of one side alone changes nothing.
bool is_scale_free(Comparison method, bool normalize) {
  return normalize || method == Comparison::correlation || method == Comparison::bhattacharyya;
}

int exponent_of(const Side& side) {
  return side.magnitude() == 0.0 ? 0 : std::ilogb(side.magnitude());
}

// *lost: whether a bin has left the range.
std::vector<double> brought_to_one(const Side& side, bool* lost) {
  alignas(64) double scratch[kBlock];
  std::vector<double> scaled(side.blocks.bins());
  const int exponent = exponent_of(side);
  for_each_block(scaled.size(), [&](std::size_t begin, std::size_t n) {
    const double* x = side.blocks.at(begin, n, scratch);
    for (std::size_t j = 0; j < n; ++j) {  // in two steps: the factor itself may not be a double
      const double y = std::ldexp(std::ldexp(x[j], -exponent / 2), -(exponent - exponent / 2));
      if (x[j] != 0.0 && std::fabs(y) < std::numeric_limits<double>::min()) *lost = true;
      scaled[begin + j] = y;
    }
  });
  return scaled;
}

// ---- the methods -----------------------------------------------------------------------------

double correlation(const Side& a, const Side& b) {
  if (a.is_constant() && b.is_constant())
    return (a.least > 0) == (b.least > 0) && (a.least < 0) == (b.least < 0) ? 1.0 : 0.0;
  if (a.is_constant() || b.is_constant()) return 0.0;
  const auto bins = static_cast<double>(a.blocks.bins());
  const double mean_a = a.total / bins, mean_b = b.total / bins;
  alignas(64) double scratch_a[kBlock], scratch_b[kBlock];
  ExactSum x, y, xx, yy, xy;
  for_each_block(a.blocks.bins(), [&](std::size_t begin, std::size_t n) {
    Moments moments;
    kernels().centred_moments(a.blocks.at(begin, n, scratch_a), mean_a,
                              b.blocks.at(begin, n, scratch_b), mean_b, n, &moments);
    x.add(moments.x);
    y.add(moments.y);
    xx.add(moments.xx);
    yy.add(moments.yy);
    xy.add(moments.xy);
  });
  // What rounding the means has left (Chan, Golub, LeVeque 1983).
  const double left_a = x.value() / bins, left_b = y.value() / bins;
  return pearson(xy.value() - left_a * y.value(), xx.value() - left_a * x.value(),
                 yy.value() - left_b * y.value());
}

double sum_over_bins(BinSum term, const Side& a, double fa, const Side& b, double fb) {
  alignas(64) double scratch_a[kBlock], scratch_b[kBlock];
  ExactSum sum;
  for_each_block(a.blocks.bins(), [&](std::size_t begin, std::size_t n) {
    sum.add(term(a.blocks.at(begin, n, scratch_a), fa, b.blocks.at(begin, n, scratch_b), fb, n));
  });
  return sum.value();
}

double divergence(const Side& a, const Side& b, const Shares& shares) {
  alignas(64) double scratch_a[kBlock], scratch_b[kBlock];
  ExactSum sum;
  for_each_block(a.blocks.bins(), [&](std::size_t begin, std::size_t n) {
    add_divergence(a.blocks.at(begin, n, scratch_a), b.blocks.at(begin, n, scratch_b), n, shares,
                   &sum);
  });
  return sum.value() / shares.den;
}

double value_of(Comparison method, bool normalize, const Side& a, const Side& b) {
  const KernelTable& kernel = kernels();
  const bool by_share = normalize || method == Comparison::bhattacharyya;
  const Shares shares = by_share ? Shares(a.total, b.total) : Shares();
  const auto sum = [&](BinSum term) {
    return sum_over_bins(term, a, shares.fa, b, shares.fb) / shares.den;
  };
  switch (method) {
    case Comparison::correlation:
      return correlation(a, b);
    case Comparison::chi2:
      return sum(kernel.chi2);
    case Comparison::intersection:
      if (!normalize) return sum(kernel.smaller);
      return a.is_empty() && b.is_empty() ? 1.0 : std::min(sum(kernel.smaller), 1.0);
    case Comparison::bhattacharyya:
      if (a.is_empty() || b.is_empty()) return a.is_empty() == b.is_empty() ? 0.0 : 1.0;
      return std::min(std::sqrt(sum(kernel.root_gap) / 2), 1.0);
    case Comparison::chi2_alt:
      return 2 * sum(kernel.chi2_alt);
    case Comparison::kl:
      return divergence(a, b, shares);
  }
  return 0.0;
}

// ---- beyond the range of doubles -------------------------------------------------------------

// m 2^e, for what leaves the range of doubles on its way to a result within it.
struct Wide {
  Wide() = default;
  explicit Wide(double value, int exponent = 0) : m(std::frexp(value, &e)) { e += exponent; }

  double times(int exponent) const { return std::ldexp(m, std::clamp(e + exponent, -9999, 9999)); }

  int e = 0;  // before m, which sets it
  double m = 0;
};

Wide operator*(Wide a, Wide b) {
  return Wide(a.m * b.m, a.e + b.e);
}
Wide operator/(Wide a, Wide b) {
  return Wide(a.m / b.m, a.e - b.e);
}

Wide operator+(Wide a, Wide b) {
  if (a.m == 0.0) return b;
  if (b.m == 0.0) return a;
  const int e = std::max(a.e, b.e);
  return Wide(a.times(-e) + b.times(-e), e);
}

Wide operator-(Wide a, Wide b) {
  b.m = -b.m;
  return a + b;
}

double log_of_ratio(Wide p, Wide q) {
  constexpr double kLog2 = 0.693147180559945309417;
  const Wide ratio = p / q;
  return std::abs(ratio.e) < 1000 ? std::log(ratio.times(0)) : std::log(ratio.m) + ratio.e * kLog2;
}

// chi2, chi2_alt and kl of shares p / den and q / den, or of the numbers themselves; slow.
double wide_value_of(Comparison method, bool normalize, const Side& a, const Side& b) {
  Wide fa(1.0), fb(1.0), den(1.0);
  if (normalize) {
    bool lost = false;
    const auto total = [&](const Side& side) {
      const std::vector<double> scaled = brought_to_one(side, &lost);
      const Side one(Blocks({BinRows::Type::f64, scaled.data(), 1, scaled.size()}, 0));
      return one.is_empty() ? Wide(1.0) : Wide(one.total, exponent_of(side));
    };
    fa = total(b);  // an empty histogram stays empty
    fb = total(a);
    den = fa * fb;
  }
  const Wide missing = Wide(kMissing) * den;
  std::vector<Wide> terms;
  terms.reserve(a.blocks.bins());
  int largest = std::numeric_limits<int>::min();
  alignas(64) double scratch_a[kBlock], scratch_b[kBlock];
  for_each_block(a.blocks.bins(), [&](std::size_t begin, std::size_t n) {
    const double* x = a.blocks.at(begin, n, scratch_a);
    const double* y = b.blocks.at(begin, n, scratch_b);
    for (std::size_t j = 0; j < n; ++j) {
      const Wide p = Wide(x[j]) * fa, q = Wide(y[j]) * fb;
      const Wide divisor = method == Comparison::chi2_alt ? p + q : p;
      if (divisor.m == 0.0) continue;
      const Wide d = p - q;
      const Wide term = method == Comparison::kl
                            ? p * Wide(log_of_ratio(p, q.m != 0.0 ? q : missing))
                            : d * d / divisor;
      if (term.m == 0.0) continue;
      terms.push_back(term);
      largest = std::max(largest, term.e);
    }
  });
  if (terms.empty()) return 0.0;
  ExactSum sum;
  for (const Wide& term : terms) sum.add(term.times(-largest));
  const Wide value = Wide(sum.value(), largest) / den;
  return value.times(method == Comparison::chi2_alt ? 1 : 0);
}

ComparisonResult compare(Comparison method, bool normalize, const Side& a, const Side& b) {
  const bool negative_allowed = takes_negative(method, normalize);
  if (!a.is_good(negative_allowed)) return {ComparisonStatus::bad_first, 0};
  if (!b.is_good(negative_allowed)) return {ComparisonStatus::bad_second, 0};
  const bool divides = method == Comparison::chi2 || method == Comparison::chi2_alt;
  const auto wide = [&] {
    const double value = wide_value_of(method, normalize, a, b);
    return ComparisonResult{
        std::isfinite(value) ? ComparisonStatus::good : ComparisonStatus::out_of_range, value};
  };
  if (a.is_extreme() || b.is_extreme()) {
    if (is_scale_free(method, normalize)) {
      bool lost = false;
      const std::vector<double> scaled_a = brought_to_one(a, &lost);
      const std::vector<double> scaled_b = brought_to_one(b, &lost);
      if (lost && (divides || method == Comparison::kl)) return wide();
      const std::size_t bins = a.blocks.bins();
      return compare(method, normalize,
                     Side(Blocks({BinRows::Type::f64, scaled_a.data(), 1, bins}, 0)),
                     Side(Blocks({BinRows::Type::f64, scaled_b.data(), 1, bins}, 0)));
    }
    if (divides) return wide();
  }
  const double value = value_of(method, normalize, a, b);
  if (std::isfinite(value)) return {ComparisonStatus::good, value};
  return divides ? wide() : ComparisonResult{ComparisonStatus::out_of_range, value};
}

double nanoseconds_per_bin(Comparison method) {
  return method == Comparison::kl ? 2.5 : method == Comparison::bhattacharyya ? 2.0 : 0.7;
}

}  // namespace

ComparisonResult compare_histograms(Comparison method, bool normalize, const BinRows& a,
                                    const BinRows& b) {
  const Blocks first(a, 0), second(b, 0);
  if (a.bins > kBlock) return compare(method, normalize, Side(first), Side(second));
  // Each value is converted once.
  alignas(64) double scratch_a[kBlock], scratch_b[kBlock];
  const auto converted = [](const Blocks& blocks, double* scratch) {
    Side side(
        Blocks({BinRows::Type::f64, blocks.at(0, blocks.bins(), scratch), 1, blocks.bins()}, 0));
    return side;
  };
  Side sides[2] = {converted(first, scratch_a), converted(second, scratch_b)};
  if (first.is_whole() && sides[0].magnitude() > kMostExact)
    return {ComparisonStatus::bad_first, 0};
  if (second.is_whole() && sides[1].magnitude() > kMostExact)
    return {ComparisonStatus::bad_second, 0};
  return compare(method, normalize, sides[0], sides[1]);
}

ComparisonBatch compare_one_to_many(Comparison method, bool normalize, const BinRows& query,
                                    const BinRows& rows, std::size_t threads, const Cancel& cancel,
                                    double* out) {
  const Side first(Blocks(query, 0));
  if (!first.is_good(takes_negative(method, normalize)))
    return {false, ComparisonStatus::bad_first, 0};
  const double row_time = 20 + nanoseconds_per_bin(method) * static_cast<double>(rows.bins);
  return for_each_row(rows.rows, row_time, threads, cancel, out, [&](std::size_t r) {
    return compare(method, normalize, first, Side(Blocks(rows, r)));
  });
}

}  // namespace imgsim
