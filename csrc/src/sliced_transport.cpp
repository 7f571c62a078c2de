#include "imgsim/sliced_transport.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <limits>
#include <utility>
#include <vector>

#include "transport/interrupt.hpp"

namespace imgsim {
namespace {

constexpr double kFraction = 1 << 24;  // steps of a projection in a unit
constexpr unsigned kNumberBits = 24;   // of a key: the number of its point
constexpr std::uint64_t kNumber = (1U << kNumberBits) - 1;
constexpr unsigned kDigitBits = 12, kMostDigits = 3;  // 2 x 1024 sqrt(3) units are below 2^36 steps
constexpr std::size_t kDigits = std::size_t{1} << kDigitBits;
constexpr std::size_t kStretch = 1 << 14;  // points between two looks at the clock
constexpr std::size_t kStretchWeight = 16;

// Calls body(i) for all i < count unless interrupted; returns false then.
template <class Body>
bool each(std::size_t count, Interrupt* interrupt, const Body& body) {
  for (std::size_t begin = 0; begin < count; begin += kStretch) {
    if (interrupt->due(kStretchWeight)) return false;
    const std::size_t end = std::min(begin + kStretch, count);
    for (std::size_t i = begin; i < end; ++i) body(i);
  }
  return true;
}

// Weighted points on a line.
class Projection {
 public:
  explicit Projection(const WeightedPoints& points)
      : weights_(points.weights), at_(points.size), keys_(points.size), other_(points.size) {}

  std::size_t size() const { return at_.size(); }
  // In ascending order, equal ones by number:
  std::size_t number(std::size_t rank) const {
    return static_cast<std::size_t>(keys_[rank] & kNumber);
  }
  std::uint64_t step(std::size_t rank) const { return keys_[rank] >> kNumberBits; }
  double at(std::size_t rank) const { return at_[number(rank)]; }
  double weight(std::size_t rank) const { return weights_[number(rank)]; }

  // Projects and sorts; false when interrupted.
  bool set(const double* points, const double* direction, Interrupt* interrupt) {
    const double x = direction[0], y = direction[1], z = direction[2];
    double low = std::numeric_limits<double>::infinity(), high = -low;
    if (!each(size(), interrupt, [&](std::size_t i) {
          const double* point = points + 3 * i;
          at_[i] = point[0] * x + point[1] * y + point[2] * z;
          low = std::min(low, at_[i]);
          high = std::max(high, at_[i]);
        }))
      return false;
    const std::int64_t first = step_of(low);
    if (!each(size(), interrupt, [&](std::size_t i) {
          keys_[i] = static_cast<std::uint64_t>(step_of(at_[i]) - first) << kNumberBits | i;
        }))
      return false;
    return sort(static_cast<std::uint64_t>(step_of(high) - first), interrupt);
  }

 private:
  static std::int64_t step_of(double at) {
    return static_cast<std::int64_t>(std::floor(at * kFraction + 0.5));
  }

  // Radix sort by the steps, the last digit first; `most` is the greatest step.
  bool sort(std::uint64_t most, Interrupt* interrupt) {
    unsigned digits = 0;
    while (digits < kMostDigits && most >> (kDigitBits * digits) != 0) ++digits;
    std::vector<std::array<std::size_t, kDigits>> places(digits);
    for (auto& place : places) place.fill(0);
    if (!each(size(), interrupt, [&](std::size_t i) {
          for (unsigned d = 0; d < digits; ++d) ++places[d][digit(keys_[i], d)];
        }))
      return false;
    for (unsigned d = 0; d < digits; ++d) {
      std::size_t before = 0;
      for (std::size_t& place : places[d]) before += std::exchange(place, before);
      if (!each(size(), interrupt,
                [&](std::size_t i) { other_[places[d][digit(keys_[i], d)]++] = keys_[i]; }))
        return false;
      keys_.swap(other_);
    }
    return true;
  }

  static std::size_t digit(std::uint64_t key, unsigned d) {
    return static_cast<std::size_t>(key >> (kNumberBits + kDigitBits * d)) & (kDigits - 1);
  }

  const double* weights_;
  std::vector<double> at_;
  std::vector<std::uint64_t> keys_, other_;
};

// The optimal plan from a projection to another one, asked for ascending masses.
class Plan {
 public:
  explicit Plan(const Projection& to) : to_(to) { take(); }

  // Sum of target times mass over the first `mass` of the plan.
  double sum_up_to(double mass) {
    while (taken_ < mass && rank_ + 1 < to_.size()) {
      ++rank_;
      take();
    }
    return sum_ - (taken_ - mass) * to_.at(rank_);
  }

 private:
  void take() {
    taken_ += to_.weight(rank_);
    sum_ += to_.at(rank_) * to_.weight(rank_);
  }

  const Projection& to_;
  std::size_t rank_ = 0;
  double taken_ = 0, sum_ = 0;
};

// Moves points along a direction; false when interrupted.
bool move_along(const Projection& from, const Projection& to, const double* direction,
                Interrupt* interrupt, double* moved) {
  Plan plan(to);
  double mass = 0, mass_before = 0, sum_before = 0;
  std::size_t begin = 0;
  return each(from.size(), interrupt, [&](std::size_t rank) {
    mass += from.weight(rank);
    if (rank + 1 < from.size() && from.step(rank + 1) == from.step(rank)) return;
    const double sum = plan.sum_up_to(mass);
    const double target = (sum - sum_before) / (mass - mass_before);
    for (; begin <= rank; ++begin) {
      const double far = target - from.at(begin);
      double* point = moved + 3 * from.number(begin);
      for (std::size_t c = 0; c < 3; ++c) point[c] += far * direction[c];
    }
    mass_before = mass;
    sum_before = sum;
  });
}

}  // namespace

bool move_sliced(const WeightedPoints& from, const WeightedPoints& to,
                 const MatrixView<double>& directions, const Cancel& cancel, double* moved) {
  Interrupt interrupt(cancel);
  Projection source(from), target(to);
  std::vector<double> points(from.points, from.points + 3 * from.size);
  std::copy(points.begin(), points.end(), moved);
  for (std::size_t row = 0; row < directions.rows; ++row) {
    const double* direction = directions.row(row);
    if (!source.set(points.data(), direction, &interrupt) ||
        !target.set(to.points, direction, &interrupt) ||
        !move_along(source, target, direction, &interrupt, moved))
      return false;
    // All three directions of a rotation start from the same points.
    if (row % 3 == 2) std::copy(moved, moved + 3 * from.size, points.begin());
  }
  return true;
}

}  // namespace imgsim
