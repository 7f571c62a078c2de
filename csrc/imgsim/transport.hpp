// Exact optimal transport (Earth Mover's Distance) between a few thousand weighted points, with a
// proof: dual potentials whose value is a lower bound of the cost.
//
// Masses become 61-bit integers, so flows are exact and never negative. A primal network simplex
// (Dantzig 1951; Orden's perturbation 1956 against cycling) runs on a spanning tree whose nodes
// know the columns below them as bits; equal weights go through shortest augmenting paths
// (Jonker and Volgenant 1987). Where the ground distance is a metric, mass that both sides have at
// one place is cancelled first. The result is the same for every instruction set.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "imgsim/ground_distance.hpp"
#include "imgsim/parallel.hpp"
#include "imgsim/views.hpp"

namespace imgsim {

enum class TransportStatus {
  optimal,
  infeasible,  // every plan uses a forbidden arc
  stopped,     // max_pivots reached: the plan is feasible, and no more is known than the bound says
  cancelled,
  unbalanced,    // totals differ and Unequal::error was asked for
  too_large,     // sources and targets together do not fit into 31 bits
  bad_cost,      // a cost is NaN or -infinity, be it of a source or target without mass
  out_of_range,  // the cost is beyond float64, or so small that float64 would round it
};

// What to do with totals that differ.
enum class Unequal {
  error,      // allowed: a relative difference of 1e-6, which is scaled away
  normalize,  // both sides are scaled to total 1
  partial,    // only the smaller total is moved, where it is cheapest
};

// What the cost is divided by.
enum class Divisor { none, moved, larger_total };

struct TransportProblem {
  Span<const double> supply;  // checked by the caller: finite, not negative, total above 0
  Span<const double> demand;
  GroundDistance ground;
  Unequal unequal = Unequal::error;
  Divisor divisor = Divisor::none;
};

struct TransportOptions {
  std::int64_t max_pivots = 0;  // 0: no limit
  bool plan = false;            // fill the arcs
  bool in_order = true;         // sort them by source and target
  bool proof = false;           // fill the potentials and the lower bound: O(n m) more
  bool steps = false;           // measure the steps
  Cancel cancel;
};

struct TransportArc {
  std::int64_t source, target;
  double mass;
};

// Where the time went, in seconds, and how much was done.
struct TransportSteps {
  double start = 0, pricing = 0, cycle = 0, tree = 0;
  std::int64_t rows_priced = 0, cycle_nodes = 0;
};

struct TransportResult {
  TransportStatus status = TransportStatus::optimal;
  double cost = 0;       // sum of mass times distance, divided as asked for
  double left_over = 0;  // mass of the larger total that is not moved
  std::int64_t pivots = 0;
  std::int64_t blocked_source = -1;  // infeasible: a source that only forbidden arcs can serve
  // Positive flows.
  std::vector<TransportArc> arcs;
  // Potentials, u_i + v_j <= c_ij for all sources and targets, also those without mass, and a lower
  // bound of the cost by weak duality, rounded down.
  std::vector<double> u, v;
  double lower_bound = 0;
  TransportSteps steps;
};

// Keeps its memory between problems, and hands it on to solvers to come. One thread at a time.
class TransportSolver {
 public:
  TransportSolver();
  ~TransportSolver();
  TransportSolver(const TransportSolver&) = delete;
  TransportSolver& operator=(const TransportSolver&) = delete;

  // Overwrites all of `result`, whose vectors keep their memory. Throws std::bad_alloc.
  void solve(const TransportProblem& problem, const TransportOptions& options,
             TransportResult* result);

 private:
  struct State;
  struct Pool;
  static Pool& pool();
  std::unique_ptr<State> state_;
};

// About how many bytes solve() needs beyond its inputs; saturates at the largest value.
std::size_t transport_bytes(std::size_t n, std::size_t m, const GroundDistance& ground);

}  // namespace imgsim
