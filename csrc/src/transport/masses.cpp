#include "transport/masses.hpp"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <cstring>

#include "transport/exact_sum.hpp"

namespace imgsim {
namespace {

constexpr int kTotalBits = 60;
constexpr double kTolerance = 1e-6;  // of totals that are said to be equal

// x times 2^exponent for exponents that one double cannot hold.
struct PowerOfTwo {
  double first, second;
  explicit PowerOfTwo(int exponent)
      : first(power(exponent / 2)), second(power(exponent - exponent / 2)) {}
  double operator()(double x) const { return x * first * second; }

 private:
  // 2^exponent in the range of normal numbers, without a call.
  static double power(int exponent) {
    const std::uint64_t bits = static_cast<std::uint64_t>(exponent + 1023) << 52;
    double value;
    std::memcpy(&value, &bits, sizeof value);
    return value;
  }
};

double largest_of(Span<const double> masses, double largest) {
  for (const double x : masses) largest = x > largest ? x : largest;
  return largest;
}

double sum_of(Span<const double> masses, double cap, const PowerOfTwo& unit) {
  double sum = 0.0;
  for (const double x : masses) sum += unit(x < cap ? x : cap);
  return sum;
}

// Units nearest to the mass, and the rest; true if there is none anywhere. No mass is taken for
// more than `cap`.
bool convert(Span<const double> masses, double cap, const PowerOfTwo& unit, MassVector* out) {
  bool whole = true;
  out->units_total = 0;
  out->rests_total = 0.0;
  for (std::size_t k = 0; k < masses.size; ++k) {
    const double mass = unit(masses[k] < cap ? masses[k] : cap);
    const auto units = static_cast<std::int64_t>(mass < 0x1p51 ? mass + 0.5 : mass);
    const double rest = mass - static_cast<double>(units);
    out->units[k] = units;
    out->rests[k] = rest;
    out->units_total += units;
    out->rests_total += rest;
    whole = whole && rest == 0.0;
  }
  return whole;
}

double exact_sum(Span<const double> masses, const PowerOfTwo& unit) {
  ExactSum sum;
  for (const double x : masses) sum.add(unit(x));
  return sum.value();
}

bool is_whole(Span<const double> masses) {
  return std::all_of(masses.begin(), masses.end(), [](double x) { return x == std::floor(x); });
}

std::size_t largest_at(const MassVector& masses) {
  return static_cast<std::size_t>(std::max_element(masses.units, masses.units + masses.size) -
                                  masses.units);
}

// The largest mass says the same with other units, so that their total is `target`.
void restate(MassVector* masses, std::int64_t target) {
  const std::int64_t change = target - masses->units_total;
  const std::size_t at = largest_at(*masses);
  masses->units[at] += change;
  masses->rests[at] -= static_cast<double>(change);
  masses->units_total = target;
  masses->rests_total -= static_cast<double>(change);
}

// Raises masses in proportion until their total is that of the other side; the largest takes what
// rounding leaves over.
void raise(MassVector* masses, const MassVector& other) {
  const double missing = static_cast<double>(other.units_total - masses->units_total) +
                         (other.rests_total - masses->rests_total);
  const double share = missing / masses->total();
  masses->units_total = 0;
  masses->rests_total = 0.0;
  for (std::size_t k = 0; k < masses->size; ++k) {
    const double extra =
        masses->rests[k] + (static_cast<double>(masses->units[k]) + masses->rests[k]) * share;
    const double more = std::floor(extra);
    masses->units[k] += static_cast<std::int64_t>(more);
    masses->rests[k] = extra - more;
    masses->units_total += masses->units[k];
    masses->rests_total += masses->rests[k];
  }
  const std::size_t at = largest_at(*masses);
  masses->units[at] += other.units_total - masses->units_total;
  masses->rests[at] += other.rests_total - masses->rests_total;
  masses->units_total = other.units_total;
  masses->rests_total = other.rests_total;
}

// Supply less demand; 0 for what can only be rounding errors of the sum of the rests.
double difference_of(const WholeMasses& masses) {
  const MassVector &supply = masses.supply, &demand = masses.demand;
  const double difference = static_cast<double>(supply.units_total - demand.units_total) +
                            (supply.rests_total - demand.rests_total);
  const double noise = static_cast<double>(supply.size + demand.size) * 0x1p-50;
  return std::fabs(difference) > noise ? difference : 0.0;
}

// The side with more mass has at least as many units.
void order_units(WholeMasses* masses) {
  MassVector &supply = masses->supply, &demand = masses->demand;
  const double difference = difference_of(*masses);
  if (difference >= 0 && supply.units_total < demand.units_total)
    restate(&supply, demand.units_total);
  if (difference <= 0 && demand.units_total < supply.units_total)
    restate(&demand, supply.units_total);
}

void balance(WholeMasses* masses) {
  const double difference = difference_of(*masses);
  if (difference < 0) raise(&masses->supply, masses->demand);
  if (difference > 0) raise(&masses->demand, masses->supply);
  if (difference == 0) order_units(masses);
}

// Whole numbers stay so: each side times the total of the other, if that fits.
bool multiply_across(const TransportProblem& problem, WholeMasses* masses) {
  if (!is_whole(problem.supply) || !is_whole(problem.demand)) return false;
  const PowerOfTwo one(0);
  const double total_a = sum_of(problem.supply, HUGE_VAL, one),
               total_b = sum_of(problem.demand, HUGE_VAL, one);
  if (!(total_a * total_b < 0x1p60)) return false;
  const int room = kTotalBits - std::ilogb(total_a * total_b);
  const auto scale = [&](Span<const double> given, double other, MassVector* out) {
    const auto factor = static_cast<std::int64_t>(other) * (std::int64_t{1} << room);
    for (std::size_t k = 0; k < given.size; ++k)
      out->units[k] = static_cast<std::int64_t>(given[k]) * factor;
    std::fill_n(out->rests, given.size, 0.0);
    out->units_total = static_cast<std::int64_t>(total_a * total_b) * (std::int64_t{1} << room);
    out->rests_total = 0.0;
  };
  scale(problem.supply, total_b, &masses->supply);
  scale(problem.demand, total_a, &masses->demand);
  return true;
}

// Each side by itself, so that one that is tiny beside the other loses nothing.
void convert_alone(Span<const double> given, MassVector* out) {
  const int top = std::ilogb(largest_of(given, 0.0));
  const double sum = sum_of(given, HUGE_VAL, PowerOfTwo(-top));
  convert(given, HUGE_VAL, PowerOfTwo(kTotalBits - std::ilogb(sum) - top), out);
}

}  // namespace

MassVector copy_of(const MassVector& masses, Workspace& space) {
  MassVector copy = masses;
  copy.units = space.take<std::int64_t>(masses.size);
  std::copy_n(masses.units, masses.size, copy.units);
  if (masses.rests != nullptr) {
    copy.rests = space.take<double>(masses.size);
    std::copy_n(masses.rests, masses.size, copy.rests);
  }
  return copy;
}

double WholeMasses::mass(double units) const {
  if (divisor != 1.0) return units / divisor;
  return factor_ != 0.0 ? units * factor_ : std::ldexp(units, exponent);
}

void WholeMasses::set_scale(int unit_exponent, double unit_divisor) {
  exponent = unit_exponent;
  divisor = unit_divisor;
  factor_ = std::abs(exponent) < 900 ? std::ldexp(1.0, exponent) : 0.0;
}

bool to_whole(const TransportProblem& problem, Workspace& space, WholeMasses* masses) {
  const auto room_for = [&](std::size_t size) {
    return MassVector{space.take<std::int64_t>(size), space.take<double>(size), size};
  };
  MassVector& supply = masses->supply = room_for(problem.supply.size);
  MassVector& demand = masses->demand = room_for(problem.demand.size);
  const double largest = largest_of(problem.demand, largest_of(problem.supply, 0.0));
  const int level = std::ilogb(largest);
  const int shift = level > 900 || level < -900 ? -level : 0;  // sums must not leave the range
  const PowerOfTwo near_one(shift);
  const double total_a = sum_of(problem.supply, HUGE_VAL, near_one);
  const double total_b = sum_of(problem.demand, HUGE_VAL, near_one);
  double total = std::max(total_a, total_b), cap = HUGE_VAL;
  const double smaller = std::min(total_a, total_b);
  if (problem.unequal == Unequal::partial && smaller < 0.5 * total) {
    // No source can send more than all demand: masses cut to that leave the small side its digits.
    cap = PowerOfTwo(-shift)(smaller * (1 + 0x1p-40));
    total = sum_of(total_a > total_b ? problem.supply : problem.demand, cap, near_one);
  }
  const int exponent = kTotalBits - std::ilogb(total) + shift;
  const PowerOfTwo unit(exponent);
  const bool whole_supply = convert(problem.supply, cap, unit, &supply);
  bool whole = convert(problem.demand, cap, unit, &demand) && whole_supply;
  masses->set_scale(-exponent, 1.0);
  masses->excess = 0.0;
  const double difference = supply.total() - demand.total();
  switch (problem.unequal) {
    case Unequal::partial:
      order_units(masses);
      masses->excess = difference_of(*masses);
      break;
    case Unequal::error:
      if (std::fabs(difference) > kTolerance * std::max(supply.total(), demand.total()))
        return false;
      whole = whole && supply.units_total == demand.units_total;
      balance(masses);
      break;
    case Unequal::normalize:
      if (difference != 0) {
        whole = multiply_across(problem, masses);
        if (!whole) {
          convert_alone(problem.supply, &supply);
          convert_alone(problem.demand, &demand);
          balance(masses);
        }
      }
      masses->set_scale(masses->exponent, supply.total());
      break;
  }
  if (whole) supply.rests = demand.rests = nullptr;
  const bool divides = problem.divisor != Divisor::none;
  const auto choose = [&](double a, double b) {
    return problem.divisor == Divisor::moved ? std::min(a, b) : std::max(a, b);
  };
  masses->cost_divisor = divides ? choose(supply.total(), demand.total()) : masses->divisor;
  masses->cost_exponent = masses->cost_divisor != 1.0 ? 0 : masses->exponent;
  masses->left_over = masses->mass(std::fabs(masses->excess));
  if (cap < HUGE_VAL) {  // the totals as given, which units may not be able to hold
    const double given_a = exact_sum(problem.supply, near_one);
    const double given_b = exact_sum(problem.demand, near_one);
    masses->left_over = std::ldexp(std::fabs(given_a - given_b), -shift);
    if (problem.divisor == Divisor::larger_total) {
      masses->cost_divisor = std::max(given_a, given_b);
      masses->cost_exponent = shift - exponent;
    }
  }
  return true;
}

}  // namespace imgsim
