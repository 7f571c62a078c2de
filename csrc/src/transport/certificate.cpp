#include "transport/certificate.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

#include "transport/costs.hpp"
#include "transport/exact_sum.hpp"
#include "transport/interrupt.hpp"

namespace imgsim {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

Side everything(std::size_t size, Workspace& space) {
  auto* ids = space.take<std::int32_t>(size);
  for (std::size_t k = 0; k < size; ++k) ids[k] = static_cast<std::int32_t>(k);
  return {ids, size};
}

// Both halves of a 61-bit number.
void add_weighted(ExactSum* sum, std::int64_t units, double potential) {
  const auto rounded = static_cast<double>(units);
  sum->add_product(rounded, potential);
  const std::int64_t rest = units - static_cast<std::int64_t>(rounded);
  if (rest != 0) sum->add_product(static_cast<double>(rest), potential);
}

}  // namespace

Certificate certify(const TransportProblem& problem, const CertifiedMasses& masses, int exponent,
                    bool whole, double cap, double* u, double* v, Workspace& space,
                    const Cancel& cancel) {
  const std::size_t n = problem.supply.size, m = problem.demand.size;
  const std::size_t padded = (m + kColumns - 1) / kColumns * kColumns;
  const Side sources = everything(n, space), targets = everything(m, space);
  Costs costs(problem.ground, sources, targets, false, space);
  if (problem.ground.kind == Ground::matrix) costs.scale_by(exponent);
  // Points that carry no mass may be further away than those that do: another scale.
  const int change = exponent - costs.exponent();
  Interrupt interrupt(cancel);
  auto* row = space.take<double>(padded);
  auto* least = space.take_filled<double>(padded, kInfinity);
  auto* from = space.take_filled<std::int64_t>(padded, 0);
  const KernelTable& table = kernels();
  const std::int64_t difference = masses.supply_total - masses.demand_total;
  const auto down = [whole](double x) { return whole ? x : rounded_down(x); };

  bool any = false;
  for (std::size_t i = 0; i < n; ++i) {
    if (change != 0) u[i] = std::ldexp(u[i], change);
    any = any || !std::isnan(u[i]);
  }
  cap = std::ldexp(cap, change);
  if (!any) std::fill_n(u, n, 0.0);  // nothing had to be moved
  for (std::size_t i = 0; i < n; ++i) {
    if (std::isnan(u[i])) continue;
    if (interrupt.due()) return {0.0, 0, false};
    costs.row(i, padded, row);
    table.lower(row, -u[i], 0, padded, least, from);
  }
  for (std::size_t j = 0; j < m; ++j) {
    v[j] = least[j] < kInfinity ? down(least[j]) : 0.0;
    if (difference < 0) v[j] = std::min(v[j], cap);
    least[j] = v[j];
  }
  for (std::size_t i = 0; i < n; ++i) {
    if (interrupt.due()) return {0.0, 0, false};
    costs.row(i, padded, row);
    double best;
    table.minima(row, padded, 1, least, padded, &best);
    u[i] = best < kInfinity ? down(best) : 0.0;
    if (difference > 0) u[i] = std::min(u[i], cap);
  }

  ExactSum bound;
  for (std::size_t i = 0; i < n; ++i) add_weighted(&bound, masses.supply[i], u[i]);
  for (std::size_t j = 0; j < m; ++j) add_weighted(&bound, masses.demand[j], v[j]);
  add_weighted(&bound, -std::abs(difference), cap);
  return {down(bound.value()), costs.exponent(), true};
}

}  // namespace imgsim
