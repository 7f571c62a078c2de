// The primal network simplex on complete bipartite graphs, one template over graph types.
//
//   start:    greedy by rows, a spanning tree without artificial arcs
//   pricing:  blocks of rows in turn; the best arc of each row of a block is a candidate
//   cycle:    the cycle that an arc closes, and the flow around it
//   tree:     the part cut off is hung elsewhere, its potentials shift
//
// Supplies are perturbed (transport.cpp): no flow of a basis is ever 0, so every pivot lowers the
// cost and none can come back. Only the columns' potentials v are kept; the potential of a row
// follows from the arc to its parent, u_i = c_ip - v_p.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <limits>

#include "imgsim/transport.hpp"
#include "transport/interrupt.hpp"
#include "transport/spanning_tree.hpp"
#include "transport/workspace.hpp"

namespace imgsim {

// Measures nothing and costs nothing.
struct NoClock {
  explicit NoClock(TransportSteps*) {}
  void add_to(double TransportSteps::*) {}
  void count(std::size_t, std::size_t) {}
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
  void count(std::size_t rows, std::size_t nodes) {
    steps_->rows_priced += static_cast<std::int64_t>(rows);
    steps_->cycle_nodes += static_cast<std::int64_t>(nodes);
  }

 private:
  TransportSteps* steps_;
  std::chrono::steady_clock::time_point last_;
};

template <class Graph, std::size_t Words, class Clock>
class NetworkSimplex {
 public:
  NetworkSimplex(const Graph& graph, Workspace& space, Interrupt& interrupt, Clock clock)
      : graph_(graph), tree_(graph.n, graph.m, space), interrupt_(interrupt), clock_(clock) {
    v_ = space.take_filled<double>(std::max(tree_.words() * 64, graph.padded), 0.0);
    order_ = space.take<Node>(tree_.nodes());
  }

  // Rows in turn fill their cheapest columns that have room left. Each arc exhausts its row or its
  // column, which then hangs below the other: leaves first, root last. Overwrites the demand.
  bool start(const std::int64_t* supply, std::int64_t* demand) {
    const std::size_t n = graph_.n, m = graph_.m;
    std::size_t open = m, next = 0;
    for (std::size_t i = 0; i < n; ++i) {
      if (i % 64 == 0 && interrupt_.due()) return false;
      std::int64_t left = supply[i];
      const Node row = static_cast<Node>(m + i);
      for (;;) {
        double least;
        graph_.minima(i, 1, v_, &least);
        const std::size_t j = graph_.column_of(i, v_, least);
        const bool row_is_done = open == 1 || (i + 1 < n && left < demand[j]);
        if (row_is_done) {
          order_[next++] = row;
          tree_.attach(row, static_cast<Node>(j), left);
          demand[j] -= left;
          break;
        }
        order_[next++] = static_cast<Node>(j);
        tree_.attach(static_cast<Node>(j), row, demand[j]);
        left -= demand[j];
        v_[j] = -std::numeric_limits<double>::infinity();  // closed
        --open;
      }
    }
    for (std::size_t j = 0; j < m; ++j)
      if (tree_.parent(j) == kNoNode) order_[next++] = static_cast<Node>(j);
    potentials_from_tree();
    clock_.add_to(&TransportSteps::start);
    return true;
  }

  // Pivots until no row has an arc of reduced cost below -tolerance. When the limit of pivots is
  // passed, the tolerance grows: rounding errors of the potentials cannot keep it going.
  TransportStatus run(double tolerance, std::int64_t max_pivots) {
    constexpr std::size_t kBlock = 4;
    constexpr double kWorthIt = 0.25;  // of the best arc of the block: measured
    const std::size_t n = graph_.n;
    std::int64_t patience = pivots_ + 64 * static_cast<std::int64_t>(tree_.nodes());
    std::size_t first = 0, clean = 0;
    while (clean < n) {
      const std::size_t rows = std::min(kBlock, n - first);
      double least[kBlock], reduced[kBlock];
      std::size_t column[kBlock], order[kBlock], candidates = 0;
      graph_.minima(first, rows, v_, least);
      for (std::size_t r = 0; r < rows; ++r) {
        reduced[r] = least[r] - row_potential(first + r);
        if (reduced[r] >= -tolerance) continue;
        column[r] = graph_.column_of(first + r, v_, least[r]);
        std::size_t at = candidates++;
        for (; at > 0 && reduced[r] < reduced[order[at - 1]]; --at) order[at] = order[at - 1];
        order[at] = r;
      }
      clock_.count(rows, 0);
      clock_.add_to(&TransportSteps::pricing);
      clean = candidates == 0 ? clean + rows : 0;
      for (std::size_t k = 0; k < candidates; ++k) {
        const std::size_t r = order[k], i = first + r, j = column[r];
        double now = reduced[r];
        if (k > 0) {  // the pivots before may have made it worse
          now = graph_.cost(i, j) - v_[j] - row_potential(i);
          if (now >= -tolerance || now > kWorthIt * reduced[order[0]]) continue;
        }
        if (pivots_ == max_pivots) return TransportStatus::stopped;
        pivot(i, j, now);
      }
      if (pivots_ > patience) {
        tolerance *= 2;
        patience += 64 * static_cast<std::int64_t>(tree_.nodes());
      }
      first += rows;
      if (first == n) first = 0;
      if (interrupt_.due()) return TransportStatus::cancelled;
    }
    return TransportStatus::optimal;
  }

  // Recomputes what pivots have accumulated in v, arc by arc from the root.
  void refresh_potentials() {
    order_from_tree();
    potentials_from_tree();
  }

  // Exact flows for supplies that are not perturbed: net[x] comes in as the supply of row x or
  // minus the demand of column x, and leaves as the net supply below x.
  void settle(std::int64_t* net) {
    order_from_tree();
    for (std::size_t k = 0; k + 1 < tree_.nodes(); ++k) {
      const std::size_t x = node(k);
      net[tree_.parent(x)] += net[x];
    }
  }

  const SpanningTree<Words>& tree() const { return tree_; }
  const double* v() const { return v_; }
  std::int64_t pivots() const { return pivots_; }
  double row_potential(std::size_t i) const {
    const auto p = static_cast<std::size_t>(tree_.parent(graph_.m + i));
    return graph_.cost(i, p) - v_[p];
  }

 private:
  std::size_t node(std::size_t k) const { return static_cast<std::size_t>(order_[k]); }

  void pivot(std::size_t i, std::size_t j, double reduced_cost) {
    const std::size_t nodes = tree_.find_cycle(i, j);
    tree_.push_flow();
    clock_.count(0, nodes);
    clock_.add_to(&TransportSteps::cycle);
    double sign;
    const std::uint64_t* moved = tree_.rehang(&sign);
    kernels().add_where(moved, tree_.words(), sign * reduced_cost, v_);
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

  void potentials_from_tree() {
    const std::size_t m = graph_.m, nodes = tree_.nodes();
    v_[node(nodes - 1)] = 0.0;
    for (std::size_t k = nodes - 1; k-- > 0;) {
      const std::size_t x = node(k);
      if (x >= m) continue;
      const auto row = static_cast<std::size_t>(tree_.parent(x)) - m;
      v_[x] = graph_.cost(row, x) - row_potential(row);
    }
  }

  const Graph& graph_;
  SpanningTree<Words> tree_;
  Interrupt& interrupt_;
  Clock clock_;
  double* v_;
  Node* order_;  // leaves first, once order_from_tree has run
  std::int64_t pivots_ = 0;
};

}  // namespace imgsim
