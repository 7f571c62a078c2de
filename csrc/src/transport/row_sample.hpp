// Where rows are many and columns few, some of the rows tell nearly what the columns are worth.
//
// Started without that, each pivot of such a problem moves the few potentials from one extreme to
// another, and pivots times rows grow with the square of the rows: 100,000 x 2 took 11 s where all
// rows like one column best, 300,000 x 8 took 33 s. So a sample of the rows is solved first, in the
// same way; then those rows whose choice of a column is a close one, with the others at their best.
// Where many rows have several best columns, as with few different costs, none of that would say
// how many of them each column gets, so all costs get a little noise. Rows are sampled in no order
// that their costs could follow: the few potentials would move by a little with each of them again.
// Only the start of the simplex depends on any of that, not what it finds.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <limits>
#include <numeric>

#include "kernels/kernel_table.hpp"
#include "transport/dense_graph.hpp"
#include "transport/interrupt.hpp"
#include "transport/network_simplex.hpp"
#include "transport/node_sort.hpp"
#include "transport/perturbation.hpp"
#include "transport/workspace.hpp"

namespace imgsim {

constexpr std::size_t kOneIn = 8;  // rows, of which the sample takes one

// How many rows are solved first, or 0 where that is not worth its time: below so many rows, or
// without many of them for each column, or where their costs would take more than 32 MB.
constexpr std::size_t sample_size(std::size_t n, std::size_t m, std::size_t padded) {
  constexpr std::size_t kFewestRows = 2048, kRowsPerColumn = 32;
  constexpr std::size_t kMostCosts = std::size_t{1} << 22;
  if (n < kFewestRows || n / kRowsPerColumn < m || m < 2) return 0;
  const std::size_t rows = std::min(n / kOneIn, kMostCosts / padded);
  return rows < 4 * m ? 0 : rows;
}

// What the costs of the sample take, and of the sample of the sample, and so on.
constexpr std::size_t kMostClose = 3;  // rows that are a close choice, by those of the sample
inline double bytes_of_samples(std::size_t n, std::size_t m) {
  const std::size_t padded = (m + kColumns - 1) / kColumns * kColumns;
  const std::size_t costs = kMostClose * sample_size(n, m, padded) * padded;
  return static_cast<double>(costs * sizeof(double)) * 8 / 7;
}

// What is added to costs, so that no two of a row are equal.
struct Noise {
  double size = 0.0;
  double operator()(std::size_t i, std::size_t j) const {
    if (size == 0.0) return 0.0;
    std::uint64_t mixed = (i + 1) * 0x9E3779B97F4A7C15U + j * 0xBF58476D1CE4E5B9U;
    mixed = (mixed ^ mixed >> 31) * 0x94D049BB133111EBU;
    return size * static_cast<double>(mixed >> 40) * 0x1p-24;
  }
};

// By how much the cheapest column of most rows is better than the next that is not as cheap; 0
// where nearly all rows differ in that, so that costs need no noise.
template <class Graph>
double common_step(const Graph& graph, Workspace& space) {
  constexpr std::size_t kRows = 1024, kOneOf = 64;
  constexpr double kRounding = 0x1p-45, kInfinity = std::numeric_limits<double>::infinity();
  const std::size_t rows = std::min(kRows, graph.n / 16);
  auto* steps = space.take<double>(rows);
  std::size_t found = 0;
  for (std::size_t k = 0; k < rows; ++k) {
    const std::size_t i = k * graph.n / rows;
    double least = kInfinity, step = kInfinity;
    for (std::size_t j = 0; j < graph.m; ++j) least = std::min(least, graph.cost(i, j));
    for (std::size_t j = 0; j < graph.m; ++j) {
      const double cost = graph.cost(i, j), more = cost - least;
      if (more > kRounding * std::max(std::fabs(cost), std::fabs(least)))
        step = std::min(step, more);
    }
    if (step < kInfinity) steps[found++] = step;
  }
  std::sort(steps, steps + found);
  std::size_t equal = 0;
  for (std::size_t k = 1; k < found; ++k) equal += steps[k] == steps[k - 1];
  return equal > found / kOneOf ? steps[found / 2] : 0.0;
}

// The k-th of n in an order that jumps: each number below n comes once.
class Jumps {
 public:
  explicit Jumps(std::size_t n) : n_(n), step_(n * 5 / 8 + 1) {
    while (std::gcd(step_, n_) != 1) ++step_;
  }
  std::size_t operator()(std::size_t k) const { return k * step_ % n_; }

 private:
  std::size_t n_, step_;
};

// Rows whose best column, at prices v, is far better than their second first, and those columns.
// False when interrupted.
template <class Graph>
bool order_by_margin(const Graph& graph, Noise noise, const double* v, Node* order, Node* best,
                     Workspace& space, Interrupt& interrupt) {
  auto* margin = space.take<double>(graph.n);
  for (std::size_t i = 0; i < graph.n; ++i) {
    if (interrupt.due(graph.row_weight())) return false;
    double least = std::numeric_limits<double>::infinity(), second = least;
    best[i] = 0;
    for (std::size_t j = 0; j < graph.m; ++j) {
      const double cost = graph.cost(i, j) + noise(i, j) - v[j];
      if (cost < least) {
        second = least;
        least = cost;
        best[i] = static_cast<Node>(j);
      } else if (cost < second) {
        second = cost;
      }
    }
    const double difference = second - least;
    margin[i] = difference >= 0.0 ? difference : 0.0;  // NaN: the caller's matrix has changed
    order[i] = static_cast<Node>(i);
  }
  const auto surer = [margin](Node x, Node y) {
    return margin[x] > margin[y] || (margin[x] == margin[y] && x < y);
  };
  return sort_nodes(order, graph.n, space.take<Node>(graph.n), surer, interrupt);
}

template <class Graph>
class RowSample {
 public:
  // supply, demand: balanced, as many as the graph has rows and columns, not perturbed.
  RowSample(const Graph& graph, double largest, const std::int64_t* supply,
            const std::int64_t* demand, Workspace& space, Interrupt& interrupt)
      : graph_(graph),
        rows_(sample_size(graph.n, graph.m, graph.padded)),
        largest_(largest),
        supply_(supply),
        demand_(demand),
        space_(space),
        interrupt_(interrupt) {}

  // What the columns are worth, nearly, and the rows that are surest of their column first; nothing
  // where no sample is worth its time. False when interrupted.
  bool guess(Start* start) {
    if (rows_ == 0) return true;
    reserve();
    noise_.size = kNoise * common_step(graph_, space_);
    if (!solve_sample() || !solve_close()) return false;
    *start = {v_, order_, best_};
    return order_by_margin(graph_, noise_, v_, order_, best_, space_, interrupt_);
  }

 private:
  static constexpr double kTolerance = 0x1p-40, kLeastTolerance = 0x1p-49;  // of the largest cost
  static constexpr double kNoise = 0x1p-20;                                 // of the usual step
  static constexpr double kSmallNoise = 0x1p-12;  // of the noise: no larger tolerance
  static constexpr double kErrors = 8.0;  // that the guess may make, by root of rows: measured

  void reserve() {
    order_ = space_.take<Node>(graph_.n);
    best_ = space_.take<Node>(graph_.n);
    some_supply_ = space_.take<std::int64_t>(kMostClose * rows_);
    some_demand_ = space_.take<std::int64_t>(graph_.m);
    v_ = space_.take_filled<double>(graph_.m, 0.0);
    costs_ = space_.take<double>(kMostClose * rows_ * graph_.padded);
    for (std::size_t i = 0; i < graph_.n; ++i) order_[i] = static_cast<Node>(i);
  }

  // One row of each part of them, the heaviest first: masses are as different as in the whole.
  bool solve_sample() {
    const std::size_t n = graph_.n, m = graph_.m;
    const auto heavier = [this](Node x, Node y) {
      return supply_[x] > supply_[y] || (supply_[x] == supply_[y] && x < y);
    };
    if (!sort_nodes(order_, n, best_, heavier, interrupt_)) return false;
    std::int64_t sampled = 0, given = 0;
    const Jumps jumps(rows_);
    for (std::size_t k = 0; k < rows_; ++k) {
      const std::size_t p = jumps(k), first = p * n / rows_, part = (p + 1) * n / rows_ - first;
      const std::uint64_t mixed = (p + 1) * 0x9E3779B97F4A7C15U;  // any of the part, no period
      if (!take_row(static_cast<std::size_t>(order_[first + (mixed >> 32) % part]), k))
        return false;
      sampled += some_supply_[k];
    }
    double all = 0.0;
    for (std::size_t j = 0; j < m; ++j) all += static_cast<double>(demand_[j]);
    if (!(all > 0.0)) return true;
    for (std::size_t j = 0; j < m; ++j) {
      const double share = static_cast<double>(demand_[j]) / all;
      some_demand_[j] = static_cast<std::int64_t>(share * static_cast<double>(sampled));
      given += some_demand_[j];
    }
    std::int64_t* most = std::max_element(some_demand_, some_demand_ + m);
    *most += sampled - given;
    return *most <= 0 || solve_rows(rows_, true);
  }

  // The rows whose best two columns differ least; columns take from the others what these would
  // give them.
  bool solve_close() {
    const std::size_t n = graph_.n, m = graph_.m;
    if (!order_by_margin(graph_, noise_, v_, order_, best_, space_, interrupt_)) return false;
    // Clear choices stay as they are, but for some of each column.
    auto* room = space_.take<double>(m);
    double all = 0.0;
    for (std::size_t j = 0; j < m; ++j) all += static_cast<double>(demand_[j]);
    const double row = all / static_cast<double>(n);  // what one has, on the average
    for (std::size_t j = 0; j < m; ++j) {
      const auto demand = static_cast<double>(demand_[j]);
      room[j] = demand - demand / static_cast<double>(kOneIn) - kErrors * std::sqrt(row * demand);
    }
    std::copy_n(demand_, m, some_demand_);
    std::size_t close = 0;
    for (std::size_t k = 0; k < n; ++k) {
      const Node i = order_[k];
      const auto mass = static_cast<double>(supply_[i]);
      if (mass < room[best_[i]]) {
        room[best_[i]] -= mass;
        some_demand_[best_[i]] -= supply_[i];
      } else if (close < kMostClose * rows_) {
        order_[close++] = i;
      } else {
        return true;  // the guess was not that good
      }
    }
    if (!sort_nodes(order_, close, best_, std::less<>(), interrupt_)) return false;
    if (close == 0) return true;
    const Jumps jumps(close);
    for (std::size_t k = 0; k < close; ++k)
      if (!take_row(static_cast<std::size_t>(order_[jumps(k)]), k)) return false;
    return solve_rows(close, false);
  }

  bool are_numbers(const double* v) const {
    return std::all_of(v, v + graph_.m, [](double x) { return std::isfinite(x); });
  }

  bool take_row(std::size_t i, std::size_t k) {
    const std::size_t m = graph_.m, padded = graph_.padded;
    some_supply_[k] = supply_[i];
    for (std::size_t j = 0; j < m; ++j) costs_[k * padded + j] = graph_.cost(i, j) + noise_(i, j);
    std::fill(costs_ + k * padded + m, costs_ + (k + 1) * padded,
              std::numeric_limits<double>::infinity());
    return !interrupt_.due(graph_.row_weight());
  }

  // The rows taken, from a sample of them if need be, or from what the columns seemed worth before.
  bool solve_rows(std::size_t rows, bool sample_first) {
    const std::size_t m = graph_.m;
    const DenseGraph some{rows, m, graph_.padded, graph_.padded, costs_, graph_.table};
    Start start;
    if (sample_first) {
      RowSample<DenseGraph> fewer(some, largest_, some_supply_, some_demand_, space_, interrupt_);
      if (!fewer.guess(&start)) return false;
    } else {
      auto* order = space_.take<Node>(rows);
      if (!order_by_margin(some, Noise{}, v_, order, best_, space_, interrupt_)) return false;
      start = {v_, order, best_};
    }
    perturb(some_supply_, rows, some_demand_, m);
    NetworkSimplex<DenseGraph, 0, NoClock> method(some, largest_, space_, interrupt_,
                                                  NoClock(nullptr));
    if (!method.start(start, some_supply_, some_demand_, space_)) return false;
    const auto most_pivots = 16 * static_cast<std::int64_t>(rows + m);
    const double tolerance =
        std::clamp(kSmallNoise * noise_.size, kLeastTolerance * largest_, kTolerance * largest_);
    if (method.run(tolerance, most_pivots) == TransportStatus::cancelled) return false;
    if (are_numbers(method.v()))  // or the caller's matrix has changed
      std::copy_n(method.v(), m, v_);
    return true;
  }

  const Graph& graph_;
  std::size_t rows_;
  double largest_;
  Noise noise_;
  const std::int64_t *supply_, *demand_;
  Workspace& space_;
  Interrupt& interrupt_;
  Node *order_ = nullptr, *best_ = nullptr;
  std::int64_t *some_supply_ = nullptr, *some_demand_ = nullptr;
  double *costs_ = nullptr, *v_ = nullptr;
};

}  // namespace imgsim
