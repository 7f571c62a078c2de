#include "transport/masses.hpp"

#include <algorithm>
#include <cmath>

namespace imgsim {
namespace {

constexpr int kTotalBits = 60;
constexpr double kTolerance = 1e-6;  // of totals that are said to be equal

// x times 2^exponent for exponents that one double cannot hold.
struct PowerOfTwo {
  double first, second;
  explicit PowerOfTwo(int exponent)
      : first(std::ldexp(1.0, exponent / 2)), second(std::ldexp(1.0, exponent - exponent / 2)) {}
  double operator()(double x) const { return x * first * second; }
};

std::int64_t to_units(double x, const PowerOfTwo& unit) {
  const double units = unit(x);
  return static_cast<std::int64_t>(units < 0x1p51 ? units + 0.5 : units);
}

double largest_of(Span<const double> masses, double largest) {
  for (const double x : masses) largest = x > largest ? x : largest;
  return largest;
}

double sum_of(Span<const double> masses, const PowerOfTwo& unit) {
  double sum = 0.0;
  for (const double x : masses) sum += unit(x);
  return sum;
}

std::int64_t convert(Span<const double> masses, const PowerOfTwo& unit, std::int64_t* out) {
  std::int64_t total = 0;
  for (std::size_t k = 0; k < masses.size; ++k) total += out[k] = to_units(masses[k], unit);
  return total;
}

bool is_whole(Span<const double> masses) {
  return std::all_of(masses.begin(), masses.end(), [](double x) { return x == std::floor(x); });
}

// Raises masses in proportion until their total is `target`; the largest takes what is left over.
void raise(std::int64_t* masses, std::size_t size, std::int64_t* total, std::int64_t target) {
  const double ratio = static_cast<double>(target) / static_cast<double>(*total);
  std::int64_t sum = 0;
  for (std::size_t k = 0; k < size; ++k) {
    const double raised = static_cast<double>(masses[k]) * ratio;
    masses[k] = std::min(static_cast<std::int64_t>(raised), target - sum);
    sum += masses[k];
  }
  *std::max_element(masses, masses + size) += target - sum;
  *total = target;
}

void balance(const TransportProblem& problem, WholeMasses* masses) {
  if (masses->supply_total < masses->demand_total)
    raise(masses->supply, problem.supply.size, &masses->supply_total, masses->demand_total);
  else if (masses->demand_total < masses->supply_total)
    raise(masses->demand, problem.demand.size, &masses->demand_total, masses->supply_total);
}

// Whole numbers stay so: each side times the total of the other, if that fits.
bool multiply_across(const TransportProblem& problem, WholeMasses* masses) {
  if (!is_whole(problem.supply) || !is_whole(problem.demand)) return false;
  const PowerOfTwo one(0);
  const double total_a = sum_of(problem.supply, one), total_b = sum_of(problem.demand, one);
  if (!(total_a * total_b < 0x1p60)) return false;
  const int room = kTotalBits - std::ilogb(total_a * total_b);
  const auto scale = [&](Span<const double> given, double other, std::int64_t* out) {
    for (std::size_t k = 0; k < given.size; ++k)
      out[k] = static_cast<std::int64_t>(given[k]) * static_cast<std::int64_t>(other) *
               (std::int64_t{1} << room);
  };
  scale(problem.supply, total_b, masses->supply);
  scale(problem.demand, total_a, masses->demand);
  masses->supply_total = masses->demand_total =
      static_cast<std::int64_t>(total_a * total_b) * (std::int64_t{1} << room);
  return true;
}

}  // namespace

double WholeMasses::mass(double units) const {
  if (divisor != 1.0) return units / divisor;
  // In two steps: one double cannot hold 2^-1074 * 2^-60, but what comes out can.
  return std::ldexp(units, exponent);
}

bool to_whole(const TransportProblem& problem, WholeMasses* masses) {
  const double largest = largest_of(problem.demand, largest_of(problem.supply, 0.0));
  const int level = std::ilogb(largest);
  const int shift = level > 900 || level < -900 ? -level : 0;  // sums must not leave the range
  const PowerOfTwo near_one(shift);
  const double total = std::max(sum_of(problem.supply, near_one), sum_of(problem.demand, near_one));
  const int exponent = kTotalBits - std::ilogb(total) + shift;
  const PowerOfTwo unit(exponent);
  masses->supply_total = convert(problem.supply, unit, masses->supply);
  masses->demand_total = convert(problem.demand, unit, masses->demand);
  masses->exponent = -exponent;
  masses->divisor = 1.0;
  const std::int64_t difference = masses->supply_total - masses->demand_total;
  switch (problem.unequal) {
    case Unequal::partial:
      return true;
    case Unequal::error:
      if (std::fabs(static_cast<double>(difference)) >
          kTolerance * static_cast<double>(std::max(masses->supply_total, masses->demand_total)))
        return false;
      balance(problem, masses);
      return true;
    case Unequal::normalize:
      // A side that is tiny beside the other is converted by itself, so as to lose nothing.
      if (difference != 0 && !multiply_across(problem, masses)) {
        const auto alone = [](Span<const double> given, std::int64_t* out) {
          const int top = std::ilogb(largest_of(given, 0.0));
          const double sum = sum_of(given, PowerOfTwo(-top));
          return convert(given, PowerOfTwo(kTotalBits - std::ilogb(sum) - top), out);
        };
        masses->supply_total = alone(problem.supply, masses->supply);
        masses->demand_total = alone(problem.demand, masses->demand);
        balance(problem, masses);
      }
      masses->divisor = static_cast<double>(masses->supply_total);
      return true;
  }
  return false;
}

}  // namespace imgsim
