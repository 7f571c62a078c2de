#include "transport/line.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

#include "transport/costs.hpp"
#include "transport/exact_sum.hpp"

namespace imgsim {
namespace {

// Mass that comes (supply) or goes (demand) at a place.
struct Change {
  double place;
  std::int64_t units;
  double rest;
};

}  // namespace

bool is_on_line(const TransportProblem& problem, const WholeMasses& masses) {
  const GroundDistance& ground = problem.ground;
  return ground.kind != Ground::matrix && ground.kind != Ground::squared && ground.dims == 1 &&
         ground.threshold == std::numeric_limits<double>::infinity() && masses.excess == 0.0;
}

double cost_on_line(const TransportProblem& problem, const WholeMasses& masses, Workspace& space,
                    int* exponent) {
  const std::size_t n = problem.supply.size, m = problem.demand.size;
  auto* changes = space.take<Change>(n + m);
  double largest = 0.0;
  const auto add = [&](Change* to, double place, std::int64_t units, double rest) {
    *to = {place, units, rest};
    largest = std::max(largest, std::fabs(place));
  };
  const MassVector &supply = masses.supply, &demand = masses.demand;
  std::size_t size = n + m;
  if (problem.ground.same_points) {
    size = n;
    for (std::size_t k = 0; k < n; ++k)
      add(changes + k, problem.ground.x[k], supply.units[k] - demand.units[k],
          supply.rest(k) - demand.rest(k));
  } else {
    for (std::size_t i = 0; i < n; ++i)
      add(changes + i, problem.ground.x[i], supply.units[i], supply.rest(i));
    for (std::size_t j = 0; j < m; ++j)
      add(changes + n + j, problem.ground.y[j], -demand.units[j], -demand.rest(j));
  }
  const auto before = [](const Change& x, const Change& y) { return x.place < y.place; };
  if (!std::is_sorted(changes, changes + size, before))
    std::stable_sort(changes, changes + size, before);
  *exponent = excess_exponent(2.0 * std::min(largest, 0x1p1022));
  const double factor = std::ldexp(1.0, -*exponent);

  ExactSum cost, rests;
  std::int64_t units = 0;
  for (std::size_t k = 0; k + 1 < size; ++k) {
    units += changes[k].units;
    rests.add(changes[k].rest);
    const double gap = changes[k + 1].place * factor - changes[k].place * factor;
    if (gap == 0.0) continue;
    const auto rounded = static_cast<double>(units);
    const double rest =
        static_cast<double>(units - static_cast<std::int64_t>(rounded)) + rests.value();
    const double sign = rounded + rest < 0 ? -1.0 : 1.0;
    cost.add_product(sign * rounded, gap);
    if (rest != 0.0) cost.add_product(sign * rest, gap);
  }
  return cost.value();
}

}  // namespace imgsim
