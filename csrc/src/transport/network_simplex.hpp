// The primal network simplex on complete bipartite graphs, one template over graph types.
//
//   start:    greedy by rows, a spanning tree without artificial arcs
//   pricing:  blocks of rows in turn; the best arc of each row of a block is a candidate
//   cycle:    the cycle that an arc closes, and the flow around it
//   tree:     the part cut off is hung elsewhere, its potentials shift
//
// Supplies are perturbed (perturbation.hpp): no flow of a basis is ever 0, so every pivot lowers
// the cost and none can come back. Only the columns' potentials v are kept; the potential of a row
// follows from the arc to its parent, u_i = c_ip - v_p.
#pragma once

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <limits>

#include "imgsim/transport.hpp"
#include "kernels/kernel_table.hpp"
#include "transport/exact_sum.hpp"
#include "transport/interrupt.hpp"
#include "transport/node_sort.hpp"
#include "transport/spanning_tree.hpp"
#include "transport/workspace.hpp"

namespace imgsim {

// Measures nothing and costs nothing.
struct NoClock {
  explicit NoClock(TransportSteps*) {}
  void add_to(double TransportSteps::*) {}
  void count(std::size_t, std::size_t) const {}
};

// The time since the last call goes to the step named.
class StepClock {
 public:
  explicit StepClock(TransportSteps* steps)
      : steps_(steps), last_(std::chrono::steady_clock::now()) {}
  void add_to(double TransportSteps::* step) {
    const auto now = std::chrono::steady_clock::now();
    steps_->*step += std::chrono::duration<double>(now - last_).count();
    last_ = now;
  }
  void count(std::size_t rows, std::size_t nodes) const {
    steps_->rows_priced += static_cast<std::int64_t>(rows);
    steps_->cycle_nodes += static_cast<std::int64_t>(nodes);
  }

 private:
  TransportSteps* steps_;
  std::chrono::steady_clock::time_point last_;
};

// What a simplex may know of its problem.
struct Start {
  const double* potentials = nullptr;  // of the columns; null: all 0
  const Node* order = nullptr;         // of the rows; null: the heaviest first
  const Node* columns = nullptr;       // that each row is to have; null: the cheapest
};

template <class Graph, std::size_t Words, class Clock>
class NetworkSimplex {
 public:
  // largest: of the costs, by magnitude.
  NetworkSimplex(const Graph& graph, double largest, Workspace& space, Interrupt& interrupt,
                 Clock clock)
      : graph_(graph), tree_(graph.n, graph.m, space), interrupt_(interrupt), clock_(clock) {
    const std::size_t columns = std::max(tree_.words() * 64, graph.padded);
    v_ = space.take_filled<double>(columns, 0.0);
    if (graph.is_rough()) {
      v_rough_ = space.take_filled<float>((columns + kSingles - 1) / kSingles * kSingles, 0.0F);
      margin_ = kRoughMargin * largest;
    }
    order_ = space.take<Node>(tree_.nodes());
  }

  // Rows in turn fill their cheapest column that has room left; what does not fit queues again.
  // Each arc exhausts its row or its column, which then hangs below the other: leaves first, root
  // last. So no arc is artificial. Overwrites supply and demand.
  bool start(const Start& from, std::int64_t* supply, std::int64_t* demand, Workspace& space) {
    const std::size_t n = graph_.n, m = graph_.m;
    if (from.potentials != nullptr) {
      std::copy_n(from.potentials, m, v_);
      round_potentials();
    }
    auto* queue = space.template take<Node>(n + m);
    if (from.order != nullptr) {
      std::copy_n(from.order, n, queue);
    } else {
      for (std::size_t i = 0; i < n; ++i) queue[i] = static_cast<Node>(i);
      const auto heavier = [supply](Node x, Node y) {
        return supply[x] > supply[y] || (supply[x] == supply[y] && x < y);
      };
      if (!sort_nodes(queue, n, order_, heavier, interrupt_)) return false;
    }
    std::size_t open_rows = n, open_columns = m, next = 0, end = n;
    for (std::size_t k = 0; k < end; ++k) {
      if (interrupt_.due(graph_.row_weight())) return false;
      const auto i = static_cast<std::size_t>(queue[k]);
      const auto row = static_cast<Node>(m + i);
      const bool wishes =
          k < n && from.columns != nullptr && is_open(static_cast<std::size_t>(from.columns[i]));
      const std::size_t j = wishes ? static_cast<std::size_t>(from.columns[i]) : cheapest_column(i);
      if (open_columns == 1 || (open_rows > 1 && supply[i] < demand[j])) {
        order_[next++] = row;
        tree_.attach(row, static_cast<Node>(j), supply[i]);
        demand[j] -= supply[i];
        --open_rows;
      } else {
        order_[next++] = static_cast<Node>(j);
        tree_.attach(static_cast<Node>(j), row, demand[j]);
        supply[i] -= demand[j];
        close(j);
        --open_columns;
        queue[end++] = queue[k];
      }
    }
    for (std::size_t j = 0; j < m; ++j)
      if (tree_.parent(j) == kNoNode) order_[next++] = static_cast<Node>(j);
    potentials_from_tree();
    clock_.add_to(&TransportSteps::start);
    return true;
  }

  // Pivots until no row has an arc of reduced cost below -tolerance. Large problems are priced in
  // single precision first: what it finds is checked in double precision, and what it cannot see
  // is left to the passes in double precision that follow. When it takes long, the tolerance
  // grows, and in the end it gives up: rounding errors of the potentials cannot keep it going.
  TransportStatus run(double tolerance, std::int64_t max_pivots) {
    tolerance_ = asked_ = tolerance;
    noisy_ = false;
    patience_ = pivots_ + 64 * static_cast<std::int64_t>(tree_.nodes());
    if (graph_.is_rough()) {
      const TransportStatus status = rounds<true>(max_pivots);
      if (status != TransportStatus::optimal) return status;
    }
    return rounds<false>(max_pivots);
  }

  // Recomputes what pivots have accumulated in v, arc by arc from the root.
  void refresh_potentials() {
    order_from_tree();
    potentials_from_tree();
  }

  // Exact flows for supplies that are not perturbed: net[x] comes in as the supply of row x or
  // minus the demand of column x, and leaves as the net supply below x; rests likewise, if any.
  void settle(std::int64_t* net, double* rests) {
    order_from_tree();
    for (std::size_t k = 0; k + 1 < tree_.nodes(); ++k) {
      const std::size_t x = node(k);
      net[tree_.parent(x)] += net[x];
      if (rests != nullptr) rests[tree_.parent(x)] += rests[x];
    }
  }

  // The largest potential, by magnitude.
  double largest_potential() const {
    double largest = 0.0;
    for (std::size_t j = 0; j < graph_.m; ++j) largest = std::max(largest, std::fabs(v_[j]));
    for (std::size_t i = 0; i < graph_.n; ++i)
      largest = std::max(largest, std::fabs(row_potential(i)));
    return largest;
  }

  // run() in twice the precision, for costs of very different size: scalar, with all potentials
  // computed again after each pivot. Leaves them in u and v.
  TransportStatus refine(double tolerance, std::int64_t max_pivots, Twofold* u, Twofold* v) {
    const std::size_t n = graph_.n;
    order_from_tree();
    twofold_potentials(u, v);
    const std::int64_t wait = 8 * static_cast<std::int64_t>(tree_.nodes());
    std::int64_t patience = pivots_ + wait;
    int doublings = 0;
    for (std::size_t i = 0, clean = 0; clean < n; i = i + 1 == n ? 0 : i + 1, ++clean) {
      std::size_t best = 0;
      Twofold least{-tolerance, 0.0};
      bool found = false;
      for (std::size_t j = 0; j < graph_.m; ++j) {
        const Twofold reduced = subtract(graph_.cost(i, j), u[i], v[j]);
        if (!(reduced < least)) continue;
        least = reduced;
        best = j;
        found = true;
      }
      if (interrupt_.due(graph_.m / 128 + graph_.row_weight())) return TransportStatus::cancelled;
      if (!found) continue;
      if (pivots_ == max_pivots) return TransportStatus::stopped;
      clean = 0;
      pivot(i, best, least.value());
      order_from_tree();
      twofold_potentials(u, v);
      if (pivots_ > patience) {
        if (++doublings > kMostDoublings) return TransportStatus::stopped;
        tolerance *= 2;
        patience += wait;
      }
    }
    return TransportStatus::optimal;
  }

  // A step of the dual simplex: the arc of node x, whose flow is negative, leaves for the cheapest
  // arc across the cut that carries mass the other way. False if there is none. Potentials in twice
  // the precision; order_from_tree() has been called since the last change of the tree.
  bool dual_pivot(std::size_t x, Twofold* u, Twofold* v) {
    const std::size_t n = graph_.n, m = graph_.m, nodes = tree_.nodes();
    Node* inside = tree_.scratch();
    for (std::size_t k = nodes; k-- > 0;) {
      const std::size_t y = node(k);
      const Node parent = tree_.parent(y);
      inside[y] = y == x || (parent != kNoNode && inside[parent] != 0) ? 1 : 0;
    }
    twofold_potentials(u, v);
    // A row's arc carries too little out of the part below, a column's too little into it.
    const Node from = x < m ? 1 : 0;
    std::size_t best_row = n, best_column = 0;
    Twofold least;
    for (std::size_t i = 0; i < n; ++i) {
      if (inside[m + i] != from) continue;
      for (std::size_t j = 0; j < m; ++j) {
        if (inside[j] == from) continue;
        const Twofold reduced = subtract(graph_.cost(i, j), u[i], v[j]);
        if (best_row < n && !(reduced < least)) continue;
        least = reduced;
        best_row = i;
        best_column = j;
      }
    }
    if (best_row == n) return false;
    tree_.find_cycle(best_row, best_column);
    tree_.choose_leaving(static_cast<Node>(x));
    double sign;
    tree_.push_and_rehang(&sign);
    ++pivots_;
    order_from_tree();
    twofold_potentials(u, v);
    return true;
  }

  const SpanningTree<Words>& tree() const { return tree_; }
  const double* v() const { return v_; }
  std::int64_t pivots() const { return pivots_; }
  // run() took so long that its tolerance grew: it has not seen all that it was asked for.
  bool has_grown() const { return tolerance_ > asked_; }
  // run() has given up: rounding errors of the potentials are larger than what there is to improve.
  bool is_noisy() const { return noisy_; }
  double row_potential(std::size_t i) const {
    const auto p = static_cast<std::size_t>(tree_.parent(graph_.m + i));
    return graph_.cost(i, p) - v_[p];
  }

 private:
  static constexpr std::size_t kBlock = 4;  // rows priced at a time
  static constexpr double kWorthIt = 0.25;  // of the best arc of the block: measured
  static constexpr double kInfinity = std::numeric_limits<double>::infinity();
  static constexpr int kMostDoublings = 20;        // then somebody changes the matrix all the time
  static constexpr double kRoughMargin = 0x1p-20;  // of the largest cost: single precision

  struct Candidate {
    std::size_t row, column;
    double reduced_cost;
  };

  // The best arc of each of the rows from `first`, best first, where it is below -tolerance.
  template <bool Rough>
  std::size_t price(std::size_t first, std::size_t rows, Candidate* found) const {
    double least[kBlock];
    float rough[kBlock];
    if (Rough)
      graph_.rough_minima(first, rows, v_rough_, rough);
    else
      graph_.minima(first, rows, v_, least);
    std::size_t count = 0;
    for (std::size_t r = 0; r < rows; ++r) {
      const std::size_t i = first + r;
      const double u = row_potential(i);
      double reduced = (Rough ? static_cast<double>(rough[r]) / graph_.factor : least[r]) - u;
      if (reduced >= -(Rough ? margin_ : tolerance_)) continue;
      const std::size_t j =
          Rough ? graph_.rough_column_of(i, v_rough_, rough[r]) : graph_.column_of(i, v_, least[r]);
      if (j >= graph_.m) continue;  // the caller's matrix has changed in between
      if (Rough) {
        reduced = graph_.cost(i, j) - v_[j] - u;
        if (reduced >= -tolerance_) continue;
      }
      std::size_t at = count++;
      for (; at > 0 && reduced < found[at - 1].reduced_cost; --at) found[at] = found[at - 1];
      found[at] = {i, j, reduced};
    }
    clock_.count(rows, 0);
    return count;
  }

  template <bool Rough>
  TransportStatus rounds(std::int64_t max_pivots) {
    const std::size_t n = graph_.n;
    int doublings = 0;
    for (std::size_t clean = 0; clean < n;) {
      const std::size_t rows = std::min(kBlock, n - next_row_);
      Candidate found[kBlock];
      const std::size_t candidates = price<Rough>(next_row_, rows, found);
      clock_.add_to(&TransportSteps::pricing);
      clean = candidates == 0 ? clean + rows : 0;
      for (std::size_t k = 0; k < candidates; ++k) {
        const std::size_t i = found[k].row, j = found[k].column;
        double now = found[k].reduced_cost;
        if (k > 0) {  // the pivots before may have made it worse
          now = graph_.cost(i, j) - v_[j] - row_potential(i);
          if (now >= -tolerance_ || now > kWorthIt * found[0].reduced_cost) continue;
        }
        if (pivots_ == max_pivots) return TransportStatus::stopped;
        pivot(i, j, now);
      }
      if (pivots_ > patience_) {
        if (++doublings > kMostDoublings) {
          noisy_ = true;
          return TransportStatus::optimal;
        }
        tolerance_ *= 2;
        patience_ += 64 * static_cast<std::int64_t>(tree_.nodes());
      }
      next_row_ += rows;
      if (next_row_ == n) next_row_ = 0;
      if (interrupt_.due(graph_.row_weight())) return TransportStatus::cancelled;
    }
    return TransportStatus::optimal;
  }

  std::size_t cheapest_column(std::size_t i) const {
    std::size_t j = graph_.is_rough() ? graph_.rough_cheapest(i, v_rough_) : graph_.cheapest(i, v_);
    // If the caller's matrix changes in between, or costs are infinite in single precision.
    if (!is_open(j))
      for (j = 0; !is_open(j);) ++j;
    return j;
  }

  bool is_open(std::size_t j) const { return j < graph_.m && v_[j] > -kInfinity; }

  // No row finds the column the cheapest any more.
  void close(std::size_t j) {
    v_[j] = -kInfinity;
    if (graph_.is_rough()) v_rough_[j] = -std::numeric_limits<float>::infinity();
  }

  std::size_t node(std::size_t k) const { return static_cast<std::size_t>(order_[k]); }

  void pivot(std::size_t i, std::size_t j, double reduced_cost) {
    const std::size_t nodes = tree_.find_cycle(i, j);
    clock_.count(0, nodes);
    clock_.add_to(&TransportSteps::cycle);
    double sign;
    const std::uint64_t* moved = tree_.push_and_rehang(&sign);
    if (graph_.is_rough())
      graph_.table->add_where_single(moved, tree_.words(), sign * reduced_cost, graph_.factor, v_,
                                     v_rough_);
    else
      graph_.table->add_where(moved, tree_.words(), sign * reduced_cost, v_);
    clock_.add_to(&TransportSteps::tree);
    ++pivots_;
  }

  // Leaves first: a node follows when its last child has.
  void order_from_tree() {
    const std::size_t nodes = tree_.nodes();
    Node* children = counts();
    std::fill_n(children, nodes, 0);
    for (std::size_t x = 0; x < nodes; ++x)
      if (tree_.parent(x) != kNoNode) ++children[tree_.parent(x)];
    std::size_t next = 0;
    for (std::size_t leaf = 0; leaf < nodes; ++leaf) {
      auto x = static_cast<Node>(leaf);
      while (x != kNoNode && children[x] == 0) {
        order_[next++] = x;
        children[x] = kNoNode;  // done
        x = tree_.parent(static_cast<std::size_t>(x));
        if (x != kNoNode) --children[x];
      }
    }
  }
  Node* counts() { return tree_.scratch(); }

  void twofold_potentials(Twofold* u, Twofold* v) const {
    const std::size_t m = graph_.m, nodes = tree_.nodes();
    v[node(nodes - 1)] = {};
    for (std::size_t k = nodes - 1; k-- > 0;) {
      const std::size_t x = node(k);
      const auto parent = static_cast<std::size_t>(tree_.parent(x));
      if (x < m)
        v[x] = subtract(graph_.cost(parent - m, x), u[parent - m]);
      else
        u[x - m] = subtract(graph_.cost(x - m, parent), v[parent]);
    }
  }

  void potentials_from_tree() {
    const std::size_t m = graph_.m, nodes = tree_.nodes();
    v_[node(nodes - 1)] = 0.0;
    for (std::size_t k = nodes - 1; k-- > 0;) {
      const std::size_t x = node(k);
      if (x >= m) continue;
      const auto row = static_cast<std::size_t>(tree_.parent(x)) - m;
      v_[x] = graph_.cost(row, x) - row_potential(row);
    }
    round_potentials();
  }

  void round_potentials() {
    if (!graph_.is_rough()) return;
    for (std::size_t j = 0; j < graph_.m; ++j)
      v_rough_[j] = static_cast<float>(v_[j] * graph_.factor);
  }

  const Graph& graph_;
  SpanningTree<Words> tree_;
  Interrupt& interrupt_;
  Clock clock_;
  double* v_;
  float* v_rough_ = nullptr;  // v_ rounded, if the graph is rough
  double margin_ = 0.0, tolerance_ = 0.0, asked_ = 0.0;
  std::size_t next_row_ = 0;
  bool noisy_ = false;
  std::int64_t patience_ = 0;
  Node* order_;  // leaves first, once order_from_tree has run
  std::int64_t pivots_ = 0;
};

}  // namespace imgsim
