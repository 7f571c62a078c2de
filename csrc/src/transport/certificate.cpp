#include "transport/certificate.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

#include "transport/costs.hpp"
#include "transport/interrupt.hpp"

namespace imgsim {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

Side everything(std::size_t size, Workspace& space) {
  auto* ids = space.take<std::int32_t>(size);
  for (std::size_t k = 0; k < size; ++k) ids[k] = static_cast<std::int32_t>(k);
  return {ids, size};
}

// The mass in units, up to 61 bits and a rest, times a potential.
void add_weighted(ExactSum* sum, std::int64_t units, double rest, const Twofold& potential) {
  const auto rounded = static_cast<double>(units);
  sum->add_product(rounded, potential);
  rest += static_cast<double>(units - static_cast<std::int64_t>(rounded));
  if (rest != 0) sum->add_product(rest, potential);
}

Twofold scaled(const Twofold& x, int exponent) {
  return exponent == 0 ? x : Twofold{std::ldexp(x.high, exponent), std::ldexp(x.low, exponent)};
}

Twofold smaller(const Twofold& x, const Twofold& y) {
  return x < y ? x : y;
}

// The whole problem's distances, row by row.
class Rows {
 public:
  Rows(const TransportProblem& problem, const PotentialFacts& facts, Workspace& space,
       const Cancel& cancel)
      : costs_(problem.ground, everything(problem.supply.size, space),
               everything(problem.demand.size, space), false, space),
        m_(problem.demand.size),
        padded_((m_ + kColumns - 1) / kColumns * kColumns),
        row_(space.take<double>(padded_)),
        interrupt_(cancel) {
    if (problem.ground.kind == Ground::matrix) costs_.scale_by(facts.exponent);
  }

  std::size_t padded() const { return padded_; }
  int exponent() const { return costs_.exponent(); }
  // All distances are whole, also those of points without mass.
  bool are_whole(const TransportProblem& problem) const {
    const MatrixView<double>& matrix = problem.ground.matrix;
    if (problem.ground.kind != Ground::matrix) return costs_.is_whole() && costs_.bound() < 0x1p50;
    const CostScan scan = kernels().scan(matrix.data, matrix.stride, matrix.rows, matrix.cols);
    return scan.whole && scan.largest < 0x1p50;
  }
  // Null when interrupted.
  const double* row(std::size_t i) {
    if (interrupt_.due(costs_.row_weight())) return nullptr;
    costs_.row(i, padded_, row_);
    return row_;
  }

 private:
  Costs costs_;
  std::size_t m_, padded_;
  double* row_;
  Interrupt interrupt_;
};

// v_j = min_i c_ij - u_i and back, in double precision by the kernels or in twice of it.
class Transforms {
 public:
  Transforms(bool twofold, std::size_t m, std::size_t padded, Workspace& space)
      : twofold_(twofold), m_(m), padded_(padded) {
    if (twofold_) {
      v_ = space.take_filled<Twofold>(m, Twofold{kInfinity, 0.0});
    } else {
      least_ = space.take_filled<double>(padded, kInfinity);
      from_ = space.take_filled<std::int64_t>(padded, 0);
    }
  }

  void lower(const double* row, const Twofold& u) {
    if (!twofold_) return kernels().lower(row, -u.high, 0, padded_, least_, from_);
    for (std::size_t j = 0; j < m_; ++j)
      if (row[j] < kInfinity) v_[j] = smaller(subtract(row[j], u), v_[j]);
  }
  Twofold v(std::size_t j) const { return twofold_ ? v_[j] : Twofold{least_[j], 0.0}; }
  void set_v(std::size_t j, const Twofold& value) {
    if (twofold_)
      v_[j] = value;
    else
      least_[j] = value.high;
  }
  Twofold least(const double* row) const {
    Twofold best{kInfinity, 0.0};
    if (!twofold_) {
      kernels().minima(row, padded_, 1, least_, padded_, &best.high);
      return best;
    }
    for (std::size_t j = 0; j < m_; ++j)
      if (row[j] < kInfinity) best = smaller(subtract(row[j], v_[j]), best);
    return best;
  }

 private:
  bool twofold_;
  std::size_t m_, padded_;
  Twofold* v_ = nullptr;
  double* least_ = nullptr;
  std::int64_t* from_ = nullptr;
};

}  // namespace

Certificate certify(const TransportProblem& problem, const WholeMasses& masses,
                    const PotentialFacts& facts, Twofold cap, Twofold* from, double* u, double* v,
                    Workspace& space, const Cancel& cancel) {
  const std::size_t n = problem.supply.size, m = problem.demand.size;
  Rows rows(problem, facts, space, cancel);
  Transforms transforms(facts.twofold, m, rows.padded(), space);
  // Points that carry no mass may be further away than those that do: another scale.
  const int change = facts.exponent - rows.exponent();
  Certificate proof;
  proof.exponent = rows.exponent();
  proof.negative_costs =
      problem.ground.kind == Ground::matrix && has_negative(problem.ground.matrix);
  cap = scaled(cap, change);
  const bool whole = facts.whole && rows.are_whole(problem);
  // Rounding errors of both transforms go downwards; twofold numbers have none that matter.
  const auto down = [&](const Twofold& x) {
    if (whole) return x;
    return facts.twofold ? Twofold{x.high, x.low - std::fabs(x.high) * 0x1p-104}
                         : Twofold{rounded_down(x.high), 0.0};
  };

  bool any = false;
  for (std::size_t i = 0; i < n; ++i) any = any || !std::isnan(from[i].high);
  if (!any) std::fill_n(from, n, Twofold{});  // nothing had to be moved
  for (std::size_t i = 0; i < n; ++i) {
    if (std::isnan(from[i].high)) continue;
    const double* row = rows.row(i);
    if (row == nullptr) return {TransportStatus::cancelled};
    transforms.lower(row, scaled(from[i], change));
  }
  for (std::size_t j = 0; j < m; ++j) {
    Twofold value = transforms.v(j);
    if (masses.excess < 0) value = smaller(value, cap);
    transforms.set_v(j, value.high < kInfinity ? down(value) : Twofold{});
  }
  ExactSum bound;
  for (std::size_t i = 0; i < n; ++i) {
    const double* row = rows.row(i);
    if (row == nullptr) return {TransportStatus::cancelled};
    Twofold value = transforms.least(row);
    if (masses.excess > 0) value = smaller(value, cap);
    value = value.high < kInfinity ? down(value) : Twofold{};
    add_weighted(&bound, masses.supply.units[i], masses.supply.rest(i), value);
    u[i] = std::ldexp(facts.twofold ? rounded_down(value.value()) : value.high, rows.exponent());
  }
  for (std::size_t j = 0; j < m; ++j) {
    const Twofold value = transforms.v(j);
    add_weighted(&bound, masses.demand.units[j], masses.demand.rest(j), value);
    v[j] = std::ldexp(facts.twofold ? rounded_down(value.value()) : value.high, rows.exponent());
  }
  if (masses.excess != 0.0) {
    const double sign = masses.excess > 0 ? 1.0 : -1.0;
    const std::int64_t units = masses.supply.units_total - masses.demand.units_total;
    add_weighted(&bound, masses.excess > 0 ? -units : units,
                 -sign * (masses.supply.rests_total - masses.demand.rests_total), cap);
  }
  proof.whole = whole;
  proof.bound = whole ? bound.value() : rounded_down(bound.value());
  return proof;
}

}  // namespace imgsim
