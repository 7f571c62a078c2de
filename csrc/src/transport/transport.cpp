#include "imgsim/transport.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <mutex>

#include "transport/block.hpp"
#include "transport/certificate.hpp"
#include "transport/costs.hpp"
#include "transport/exact_sum.hpp"
#include "transport/line.hpp"
#include "transport/masses.hpp"
#include "transport/row_sample.hpp"
#include "transport/spanning_tree.hpp"
#include "transport/support.hpp"
#include "transport/workspace.hpp"

namespace imgsim {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

// Sets of columns are bits, so columns should be few. Of two sides of equal size the one with the
// lesser masses becomes the columns, so that swapping the sides of a problem changes nothing.
bool should_transpose(const GroundDistance& ground, const Support& support) {
  const std::size_t n = support.sources.size, m = support.targets.size;
  if (ground.kind == Ground::matrix && !ground.matrix_is_metric)
    return m > 512 && m > 4 * n;  // a copy in another order
  if (n != m) return n < m;
  return std::lexicographical_compare(support.supply.units, support.supply.units + n,
                                      support.demand.units, support.demand.units + m);
}

// The solver sees the costs between points with mass; the others must be numbers all the same.
bool must_look_at_all(const TransportProblem& problem, const Support& support) {
  const GroundDistance& ground = problem.ground;
  if (ground.kind != Ground::matrix || ground.matrix_is_checked || ground.matrix_is_metric)
    return false;
  const auto with_mass = [](const Side& side) {
    return side.size - (side.size > 0 && side.ids[side.size - 1] == kDummy);
  };
  return with_mass(support.sources) < problem.supply.size ||
         with_mass(support.targets) < problem.demand.size;
}

double in_range(double value, int exponent, TransportStatus* status) {
  const double scaled = std::ldexp(value, exponent);
  const double size = std::fabs(scaled);
  if (value != 0 && !(size >= std::numeric_limits<double>::min() && size < kInfinity))
    *status = TransportStatus::out_of_range;
  return scaled;
}

// Everything about one solve: the problem, what it was reduced to, and the solution.
struct Work {
  const TransportProblem& problem;
  const TransportOptions& options;
  WholeMasses masses;
  Support support;
  bool transposed;
  Costs* costs;
  Block block;
};

// The cost of the plan in units of mass times scaled distances, correctly rounded or nearly so.
double cost_of(const Block& block) {
  ExactSum sums[4];  // side by side: additions wait for the last one to the same sum
  for (std::size_t k = 0; k < block.arcs_n; ++k) {
    const BlockArc& arc = block.arcs[k];
    const auto rounded = static_cast<double>(arc.units);
    sums[k % 4].add_product(rounded, arc.cost);
    const double rest =
        static_cast<double>(arc.units - static_cast<std::int64_t>(rounded)) + arc.rest;
    if (rest != 0) sums[k % 4].add_product(rest, arc.cost);
  }
  for (int k = 1; k < 4; ++k) sums[0].add(sums[k]);
  return sums[0].value();
}

// Costs that had to be scaled down so much that float64 has lost digits of them.
bool has_lost_digits(const Block& block, const Costs& costs) {
  if (costs.exponent() <= 0) return false;
  for (std::size_t k = 0; k < block.arcs_n; ++k) {
    const BlockArc& arc = block.arcs[k];
    if (std::fabs(arc.cost) < 0x1p-960 &&
        costs.given(static_cast<std::size_t>(arc.row), static_cast<std::size_t>(arc.column)) != 0)
      return true;
  }
  return false;
}

// The flows between sources and targets as given.
void keep_arcs(const Work& work, std::vector<PlaceArc>* between, Workspace& space,
               std::vector<TransportArc>* arcs) {
  between->clear();
  for (std::size_t k = 0; k < work.block.arcs_n; ++k) {
    const BlockArc& arc = work.block.arcs[k];
    auto s = static_cast<std::size_t>(arc.row), t = static_cast<std::size_t>(arc.column);
    if (work.transposed) std::swap(s, t);
    const std::int32_t source = work.support.source_places[s];
    const std::int32_t target = work.support.target_places[t];
    if (source != kDummy && target != kDummy)
      between->push_back({source, target, static_cast<double>(arc.units) + arc.rest});
  }
  expand(work.problem, work.support, work.masses, work.options.in_order, between, space, arcs);
}

// Potentials of everything, and the bound that they prove. False when interrupted.
bool prove(const Work& work, const WholeMasses& all, Workspace& space, TransportResult* result) {
  const Block& block = work.block;
  const Twofold* source_u = work.transposed ? block.v : block.u;
  const Twofold* target_v = work.transposed ? block.u : block.v;
  const Side &sources = work.support.sources, &targets = work.support.targets;
  auto* u = space.take<Twofold>(work.problem.supply.size);
  std::fill_n(u, work.problem.supply.size, Twofold{std::nan(""), 0.0});
  Twofold cap;
  for (std::size_t s = 0; s < sources.size; ++s) {
    if (sources.ids[s] == kDummy)
      cap = {-source_u[s].high, -source_u[s].low};
    else
      u[sources.ids[s]] = source_u[s];
  }
  if (targets.size > 0 && targets.ids[targets.size - 1] == kDummy)
    cap = {-target_v[targets.size - 1].high, -target_v[targets.size - 1].low};
  result->u.resize(work.problem.supply.size);
  result->v.resize(work.problem.demand.size);
  const Certificate proof =
      certify(work.problem, all, {work.costs->exponent(), block.whole, block.twofold}, cap, u,
              result->u.data(), result->v.data(), space, work.options.cancel);
  if (proof.status != TransportStatus::optimal) {
    result->status = proof.status;
    return false;
  }
  const double divided = proof.bound / work.masses.cost_divisor;
  const bool exact = work.masses.cost_divisor == 1.0 || proof.whole;
  double bound = std::ldexp(exact ? divided : rounded_down(divided),
                            proof.exponent + work.masses.cost_exponent);
  if (!proof.negative_costs) bound = std::max(bound, 0.0);
  result->lower_bound = std::min(bound, result->cost);
  return true;
}

}  // namespace

struct TransportSolver::State {
  State() {}  // leaves the workspace as it is
  Workspace space;
  std::vector<PlaceArc> between;

  void solve(const TransportProblem& problem, const TransportOptions& options,
             TransportResult* result);
};

void TransportSolver::State::solve(const TransportProblem& problem, const TransportOptions& options,
                                   TransportResult* result) {
  space.clear();
  const std::size_t n = problem.supply.size, m = problem.demand.size;
  constexpr auto kMostNodes = static_cast<std::size_t>(std::numeric_limits<Node>::max()) - 2;
  if (n > kMostNodes || m > kMostNodes - n) {
    result->status = TransportStatus::too_large;
    return;
  }
  Work work{problem, options, {}, {}, false, nullptr, {}};
  if (!to_whole(problem, space, &work.masses)) {
    result->status = TransportStatus::unbalanced;
    return;
  }
  result->left_over = work.masses.left_over;
  if (!options.plan && !options.proof && is_on_line(problem, work.masses)) {
    int exponent;
    const double cost = cost_on_line(problem, work.masses, space, &exponent);
    result->cost = in_range(cost / work.masses.cost_divisor, work.masses.cost_exponent + exponent,
                            &result->status);
    return;
  }
  WholeMasses all = work.masses;  // the reduction overwrites masses
  if (options.proof) {
    all.supply = copy_of(work.masses.supply, space);
    all.demand = copy_of(work.masses.demand, space);
  }
  work.support = reduce(problem, &work.masses, space);
  const Support& support = work.support;
  Interrupt interrupt(options.cancel);
  if (must_look_at_all(problem, support)) {
    result->status = check_costs(problem.ground.matrix, interrupt);
    if (result->status != TransportStatus::optimal) return;
  }
  work.transposed = should_transpose(problem.ground, support);
  const Side& rows = work.transposed ? support.targets : support.sources;
  const Side& columns = work.transposed ? support.sources : support.targets;
  Block& block = work.block;
  block.n = rows.size;
  block.m = columns.size;
  block.supply = work.transposed ? support.demand : support.supply;
  block.demand = work.transposed ? support.supply : support.demand;
  block.u = space.take<Twofold>(block.n);
  block.v = space.take<Twofold>(block.m);
  block.arcs = space.take<BlockArc>(block.n + block.m);
  block.whole = true;

  Costs costs(problem.ground, rows, columns, work.transposed, space);
  work.costs = &costs;
  if (block.n > 0 && block.m > 0)
    solve_block(problem.ground, options, &costs, space, interrupt, &result->steps, &block);
  result->pivots = block.pivots;
  result->status = block.status;
  if (block.blocked) {
    const std::size_t s = work.transposed ? block.blocked_column : block.blocked_row;
    result->blocked_source = support.sources.ids[s];
    // Points forbid nothing: such a distance is beyond float64.
    if (block.status == TransportStatus::optimal)
      result->status = problem.ground.kind == Ground::matrix ? TransportStatus::infeasible
                                                             : TransportStatus::out_of_range;
  }
  if (result->status != TransportStatus::optimal && result->status != TransportStatus::stopped)
    return;
  result->cost = block.blocked
                     ? kInfinity
                     : in_range(cost_of(block) / work.masses.cost_divisor,
                                work.masses.cost_exponent + costs.exponent(), &result->status);
  if (!block.blocked && has_lost_digits(block, costs))
    result->status = TransportStatus::out_of_range;
  if (options.proof && !prove(work, all, space, result)) return;
  if (options.plan) keep_arcs(work, &between, space, &result->arcs);
}

// ---- solvers that wait for the next problem ---------------------------------------------------

// A few are kept for calls to come, if they are small.
struct TransportSolver::Pool {
  static constexpr std::size_t kMostIdle = 16;
  static constexpr std::size_t kMostBytes = std::size_t{1} << 25;
  std::mutex mutex;
  std::vector<std::unique_ptr<State>> idle;
};

TransportSolver::Pool& TransportSolver::pool() {
  // Never destroyed: a thread may still be at work at the end.
  static Pool* const all = [] {
    auto created = std::make_unique<Pool>();
    created->idle.reserve(Pool::kMostIdle);
    return created.release();
  }();
  return *all;
}

TransportSolver::TransportSolver() {
  Pool& waiting = pool();
  // Another thread may have held the lock when this process was forked: never wait for it.
  const std::unique_lock<std::mutex> hold(waiting.mutex, std::try_to_lock);
  if (hold && !waiting.idle.empty()) {
    state_ = std::move(waiting.idle.back());
    waiting.idle.pop_back();
  } else {
    state_ = std::make_unique<State>();
  }
}

TransportSolver::~TransportSolver() {
  if (state_->space.bytes() > Pool::kMostBytes) return;
  Pool& waiting = pool();
  const std::unique_lock<std::mutex> hold(waiting.mutex, std::try_to_lock);
  if (hold && waiting.idle.size() < waiting.idle.capacity())
    waiting.idle.push_back(std::move(state_));
}

void TransportSolver::solve(const TransportProblem& problem, const TransportOptions& options,
                            TransportResult* result) {
  result->status = TransportStatus::optimal;
  result->cost = result->left_over = result->lower_bound = 0.0;
  result->pivots = 0;
  result->blocked_source = -1;
  result->arcs.clear();
  result->u.clear();
  result->v.clear();
  result->steps = {};
  state_->solve(problem, options, result);
}

std::size_t transport_bytes(std::size_t n, std::size_t m, const GroundDistance& ground) {
  constexpr double kKept = 0x1p22;  // arcs whose costs are kept if they come from points
  const auto rows = static_cast<double>(std::max(n, m));
  const std::size_t fewer = std::min(n, m);
  const auto columns = static_cast<double>(fewer);
  const auto padded = [fewer](std::size_t lanes) {
    return static_cast<double>((fewer + lanes - 1) / lanes * lanes);
  };
  const bool dense = ground.kind == Ground::matrix || rows * columns <= kKept;
  const double costs = dense ? rows * (padded(kColumns) * 8 + padded(kSingles) * 4) : 0;
  const double sets = (rows + columns) * (columns / 64 + 1) * 8;
  const double points = (rows + columns) * static_cast<double>(ground.dims) * 16;
  const double samples = bytes_of_samples(std::max(n, m), fewer);
  const double bytes = costs + sets + points + samples + (rows + columns) * 240 + 65536;
  return bytes < 9e18 ? static_cast<std::size_t>(bytes) : std::numeric_limits<std::size_t>::max();
}

}  // namespace imgsim
