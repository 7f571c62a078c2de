#include "imgsim/wasserstein_1d.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "kernels/kernel_table.hpp"
#include "quantile_coupling.hpp"

namespace imgsim {
namespace {

constexpr double kSmallestTotal = 0x1p-100;
constexpr double kLargestTotal = 0x1p100;
constexpr std::size_t kStackBins = 1024;

std::size_t padded(std::size_t n) {
  return (n + kLanes - 1) / kLanes * kLanes;
}

bool in_range(double total) {
  return total >= kSmallestTotal && total <= kLargestTotal;
}

// NaN and infinity show in the total; a sign bit may also be that of -0.0, which is fine.
bool has_negative(const double* masses, std::size_t n) {
  return kernels().any_sign_bit(masses, n) &&
         std::any_of(masses, masses + n, [](double mass) { return mass < 0.0; });
}

// The common scale of two CDFs: A fa and B fb end at the same value, which is den.
struct Scale {
  Scale(double total_a, double total_b) {
    if (total_a == total_b) {
      den = total_a;
    } else {
      fa = total_b;
      fb = total_a;
      den = total_a * total_b;
    }
  }
  double fa = 1.0, fb = 1.0, den;
};

// Twice the power of two at or below x, so that x / result lies in [1/2, 1).
double power_of_two_above(double x) {
  int exponent;
  std::frexp(x, &exponent);
  return std::ldexp(1.0, std::clamp(exponent, -1021, 1023));
}

}  // namespace

// ---- CdfMatrix -------------------------------------------------------------------------------

std::size_t CdfMatrix::assign(const MassMatrix& masses, std::size_t begin, std::size_t end) {
  rows_ = end - begin;
  cols_ = masses.cols;
  stride_ = padded(cols_);
  if (rows_ * stride_ > capacity_) {
    sums_.reset(new double[rows_ * stride_]);
    capacity_ = rows_ * stride_;
  }
  totals_.resize(rows_);

  const KernelTable& kernel = kernels();
  if (masses.type == MassMatrix::Type::u32) {
    const auto* data = static_cast<const std::uint32_t*>(masses.data) + begin * masses.stride;
    kernel.cumulate_u32(data, masses.stride, rows_, cols_, sums_.get(), stride_, totals_.data());
  } else {
    const auto* data = static_cast<const double*>(masses.data) + begin * masses.stride;
    for (std::size_t r = 0; r < rows_; ++r)
      if (has_negative(data + r * masses.stride, cols_)) return begin + r;
    kernel.cumulate_f64(data, masses.stride, rows_, cols_, sums_.get(), stride_, totals_.data());
  }
  for (std::size_t r = 0; r < rows_; ++r)
    if (!in_range(totals_[r]) && !rescale(masses, begin + r, r)) return begin + r;
  return kNoBadRow;
}

// The scale comes from the total, so that rows of equal totals keep them equal.
bool CdfMatrix::rescale(const MassMatrix& masses, std::size_t source, std::size_t row) {
  if (masses.type == MassMatrix::Type::u32) return false;  // its total is 0
  const double* mass = static_cast<const double*>(masses.data) + source * masses.stride;
  if (!std::all_of(mass, mass + cols_, [](double m) { return std::isfinite(m); })) return false;
  constexpr int kHeadroom = 64;  // a sum of fewer than 2^64 doubles does not overflow
  double total = totals_[row];
  int shift = 0;
  if (std::isinf(total)) {
    total = 0.0;
    for (std::size_t j = 0; j < cols_; ++j) total += std::ldexp(mass[j], -kHeadroom);
    shift = kHeadroom;
  }
  if (!(total > 0.0)) return false;
  int exponent;
  std::frexp(total, &exponent);
  exponent += shift;
  std::vector<double> scaled(cols_);
  for (std::size_t j = 0; j < cols_; ++j)  // in two steps: the factor itself may not be a double
    scaled[j] = std::ldexp(std::ldexp(mass[j], -exponent / 2), -(exponent - exponent / 2));
  kernels().cumulate_f64(scaled.data(), cols_, 1, cols_, sums_.get() + row * stride_, stride_,
                         totals_.data() + row);
  return true;
}

// ---- Wasserstein1d ---------------------------------------------------------------------------

Wasserstein1d::Wasserstein1d(std::size_t bins, const double* positions, double spacing, double p,
                             double period)
    : bins_(bins), p_(p), period_(period), factor_(spacing) {
  if (positions == nullptr) {
    if (p != 1.0 || period == 0.0) return;
    // Unit-spaced bins on a circle: the gap after the last bin may differ from the others.
    widths_.assign(padded(bins), 0.0);
    std::fill_n(widths_.begin(), bins - 1, 1.0);
    widths_[bins - 1] = period / spacing - static_cast<double>(bins - 1);
    return;
  }
  factor_ = 1.0;
  const double span = period > 0.0 ? period : positions[bins - 1] / 2 - positions[0] / 2;
  if (!(span > 0.0)) {  // one place: every distance is 0
    widths_.assign(padded(bins), 0.0);
    positions_.assign(bins, 0.0);
    return;
  }
  // Scaled by a power of two, no sum below overflows and the scale comes back exactly.
  factor_ = power_of_two_above(span);
  if (p == 1.0) {
    widths_.assign(padded(bins), 0.0);
    for (std::size_t j = 0; j + 1 < bins; ++j)
      widths_[j] = positions[j + 1] / factor_ - positions[j] / factor_;
    if (period > 0.0)
      widths_[bins - 1] =
          period / factor_ - (positions[bins - 1] / factor_ - positions[0] / factor_);
  } else {
    positions_.resize(bins);
    for (std::size_t j = 0; j < bins; ++j) positions_[j] = positions[j] / factor_;
  }
}

double Wasserstein1d::on_line(const double* a, double fa, const double* b, double fb,
                              double den) const {
  const auto displacement = [this](std::size_t i, std::size_t j) {
    return positions_.empty() ? std::fabs(static_cast<double>(i) - static_cast<double>(j))
                              : std::fabs(positions_[i] - positions_[j]);
  };
  const auto largest_displacement = [&] {
    double largest = 0.0;
    couple_quantiles(a, bins_, fa, b, bins_, fb, [&](std::size_t i, std::size_t j, double) {
      largest = std::max(largest, displacement(i, j));
    });
    return largest;
  };
  if (std::isinf(p_)) return largest_displacement();
  // Powers are taken of displacements up to about 1, where they cannot leave the range of a double:
  // a unit that is a power of two changes no digit, one that is the largest itself suits any order.
  double unit = 1.0;
  if (!positions_.empty() || p_ * std::log2(static_cast<double>(bins_)) > 50.0) {
    unit = largest_displacement();
    if (unit == 0.0) return 0.0;
    if (p_ <= 64.0) unit = power_of_two_above(unit);
  }
  const Power power(p_);
  double cost = 0.0;
  couple_quantiles(a, bins_, fa, b, bins_, fb, [&](std::size_t i, std::size_t j, double mass) {
    if (i != j) cost += power(displacement(i, j) / unit) * mass;
  });
  return power.root(cost / den) * unit;
}

double Wasserstein1d::on_circle(const double* a, double fa, const double* b, double fb,
                                double den) const {
  struct Level {
    double difference, width;
  };
  std::vector<Level> levels(bins_);
  double half = 0.0;
  for (std::size_t j = 0; j < bins_; ++j) {
    levels[j] = {a[j] * fa - b[j] * fb, widths_[j]};
    half += widths_[j] / 2;
  }
  std::vector<Level> sorted = levels;
  std::sort(sorted.begin(), sorted.end(),
            [](const Level& x, const Level& y) { return x.difference < y.difference; });
  const auto area_at = [&](double t) {
    double sum = 0.0;
    for (const Level& level : levels) sum += std::fabs(level.difference - t) * level.width;
    return sum;
  };
  // The weighted median from below and from above: the smaller area of the two does not depend on
  // which distribution came first, also where rounding decides between two equal medians.
  double below = 0.0, above = 0.0;
  std::size_t low = 0, high = bins_ - 1;
  while (low + 1 < bins_ && (below += sorted[low].width) < half) ++low;
  while (high > 0 && (above += sorted[high].width) < half) --high;
  return std::min(area_at(sorted[low].difference), area_at(sorted[high].difference)) / den;
}

double Wasserstein1d::between(const CdfMatrix& a, std::size_t i, const CdfMatrix& b,
                              std::size_t j) const {
  double distance;
  one_to_many(a, i, b, j, j + 1, &distance);
  return distance;
}

void Wasserstein1d::one_to_many(const CdfMatrix& a, std::size_t i, const CdfMatrix& b,
                                std::size_t begin, std::size_t end, double* out) const {
  if (p_ == 1.0 && period_ == 0.0) {
    kernels().w1_one_to_many(a.row(i), a.total(i), b.row(begin), b.stride(), b.totals() + begin,
                             widths_.empty() ? nullptr : widths_.data(), end - begin, out);
  } else {
    for (std::size_t r = begin; r < end; ++r) {
      const Scale scale(a.total(i), b.total(r));
      out[r - begin] = period_ > 0.0 ? on_circle(a.row(i), scale.fa, b.row(r), scale.fb, scale.den)
                                     : on_line(a.row(i), scale.fa, b.row(r), scale.fb, scale.den);
    }
  }
  if (factor_ != 1.0)
    for (std::size_t r = 0; r < end - begin; ++r) out[r] *= factor_;
}

double Wasserstein1d::nanoseconds_per_pair() const {
  const auto bins = static_cast<double>(bins_);
  if (period_ > 0.0) return 30.0 * bins;
  return p_ == 1.0 ? 3.0 + 0.15 * bins : 8.0 * bins;
}

// ---- batches ---------------------------------------------------------------------------------

namespace {

constexpr double kNanosecondsPerPiece = 2e6;  // a cancel is noticed after at most one piece

std::size_t pairs_per_piece(const Wasserstein1d& metric) {
  return static_cast<std::size_t>(kNanosecondsPerPiece / metric.nanoseconds_per_pair()) + 1;
}

}  // namespace

bool pairs(const Wasserstein1d& metric, const CdfMatrix& a, const CdfMatrix& b,
           const std::int64_t* index_a, const std::int64_t* index_b, std::size_t n,
           std::size_t threads, const Cancel& cancel, double* out) {
  threads = useful_threads(threads, static_cast<double>(n) * metric.nanoseconds_per_pair());
  return parallel_for(n, pairs_per_piece(metric), threads, cancel,
                      [&](std::size_t begin, std::size_t end) {
                        for (std::size_t k = begin; k < end; ++k)
                          out[k] = metric.between(a, static_cast<std::size_t>(index_a[k]), b,
                                                  static_cast<std::size_t>(index_b[k]));
                      });
}

bool cdist(const Wasserstein1d& metric, const CdfMatrix& a, const CdfMatrix& b, std::size_t threads,
           const Cancel& cancel, double* out) {
  if (a.rows() == 0 || b.rows() == 0) return true;
  // Tiles of B that stay in the cache while rows of A pass over them.
  const std::size_t tile = std::clamp<std::size_t>(32768 / b.stride(), 1, b.rows());
  const std::size_t tiles = (b.rows() + tile - 1) / tile;
  const double work =
      static_cast<double>(a.rows()) * static_cast<double>(b.rows()) * metric.nanoseconds_per_pair();
  const std::size_t grain = std::max<std::size_t>(1, pairs_per_piece(metric) / tile);
  return parallel_for(tiles * a.rows(), grain, useful_threads(threads, work), cancel,
                      [&](std::size_t begin, std::size_t end) {
                        for (std::size_t k = begin; k < end; ++k) {
                          const std::size_t i = k % a.rows(), first = k / a.rows() * tile;
                          metric.one_to_many(a, i, b, first, std::min(first + tile, b.rows()),
                                             out + i * b.rows() + first);
                        }
                      });
}

bool pdist(const Wasserstein1d& metric, const CdfMatrix& a, std::size_t threads,
           const Cancel& cancel, double* out) {
  const std::size_t n = a.rows();
  if (n < 2) return true;
  const double work =
      static_cast<double>(n) * static_cast<double>(n) / 2 * metric.nanoseconds_per_pair();
  const std::size_t grain = std::max<std::size_t>(1, pairs_per_piece(metric) / n);
  return parallel_for(n - 1, grain, useful_threads(threads, work), cancel,
                      [&](std::size_t begin, std::size_t end) {
                        for (std::size_t i = begin; i < end; ++i) {
                          const std::size_t before = i * (2 * n - i - 1) / 2;
                          metric.one_to_many(a, i, a, i + 1, n, out + before);
                        }
                      });
}

// ---- single pairs ----------------------------------------------------------------------------

double wasserstein_1d_unit(const double* a, const double* b, std::size_t bins) {
  const KernelTable& kernel = kernels();
  if (bins > kStackBins || kernel.any_sign_bit(a, bins) || kernel.any_sign_bit(b, bins))
    return -1.0;
  alignas(64) double sums[2 * kStackBins];
  double totals[2];
  const std::size_t stride = padded(bins);
  kernel.cumulate_two(a, b, bins, sums, stride, totals);
  if (!in_range(totals[0]) || !in_range(totals[1])) return -1.0;
  double distance;
  kernel.w1_one_to_many(sums, totals[0], sums + stride, stride, totals + 1, nullptr, 1, &distance);
  return distance;
}

namespace {

struct SortedSample {
  std::vector<double> positions;   // a copy: a caller who changes his while they are sorted
  std::vector<std::size_t> order;  // would lead the sort out of bounds
  std::vector<double> sums;

  explicit SortedSample(const Sample& sample)
      : positions(sample.positions.begin(), sample.positions.end()),
        order(positions.size()),
        sums(positions.size()) {
    std::iota(order.begin(), order.end(), std::size_t{0});
    std::stable_sort(order.begin(), order.end(), [&](std::size_t i, std::size_t j) {
      const double x = positions[i], y = positions[j];
      return x < y || (std::isnan(y) && !std::isnan(x));
    });
    double sum = 0.0;
    for (std::size_t k = 0; k < order.size(); ++k) {
      sum += sample.weights.empty() ? 1.0 : sample.weights[order[k]];
      sums[k] = sum;
    }
    if (sample.weights.empty())
      for (double& value : sums) value /= static_cast<double>(order.size());
  }
};

}  // namespace

double sample_coupling(const Sample& x, const Sample& y, double p, Totals totals,
                       std::vector<CouplingPiece>* plan) {
  const SortedSample a(x), b(y);
  const bool keep = totals == Totals::keep;
  const Scale scale = keep ? Scale(1.0, 1.0) : Scale(a.sums.back(), b.sums.back());
  const Power power(p);
  double cost = 0.0;
  couple_quantiles(a.sums.data(), a.sums.size(), scale.fa, b.sums.data(), b.sums.size(), scale.fb,
                   [&](std::size_t i, std::size_t j, double mass) {
                     const std::size_t source = a.order[i], target = b.order[j];
                     const double share = mass / scale.den;
                     const double from = a.positions[source], to = b.positions[target];
                     if (from != to) cost += power(from - to) * share;
                     if (plan != nullptr)
                       plan->push_back({static_cast<std::int64_t>(source),
                                        static_cast<std::int64_t>(target), share});
                   });
  return cost;
}

}  // namespace imgsim
