#include "transport/block.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <type_traits>

#include "transport/assignment.hpp"
#include "transport/dense_graph.hpp"
#include "transport/network_simplex.hpp"
#include "transport/perturbation.hpp"
#include "transport/point_graph.hpp"
#include "transport/row_sample.hpp"

namespace imgsim {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();
// Costs of points are kept up to so many arcs (32 MB), beyond computed again for each pricing.
constexpr std::size_t kMostCosts = std::size_t{1} << 22;
constexpr std::size_t kWorthSingles = 2048;  // arcs from which single precision pays
// Reduced costs below -2^-49 of the largest cost are improvements; above, rounding errors.
constexpr double kTolerance = 0x1p-49;
constexpr int kRefreshes = 3;
constexpr int kMostRefreshes = 64;
constexpr std::int64_t kFewPivots = 8;
// Potentials so many times the cost of a unit of mass are worth twice the precision.
constexpr double kWorthRefining = 0x1p9;

std::size_t padded_to(std::size_t m, std::size_t columns) {
  return (m + columns - 1) / columns * columns;
}

// What has to be known about costs before a solver can use them.
struct CostFacts {
  double largest = 0.0;          // of all, by magnitude
  double forbidden = kInfinity;  // what stands for infinity: more than any detour could be worth
  bool whole = false;            // whole numbers that sums of potentials keep exact
};

bool keeps_whole(double largest, std::size_t nodes) {
  return largest * static_cast<double>(nodes) < 0x1p50;
}

// ---- the dense costs -------------------------------------------------------------------------

// The matrix where it is, or a padded copy. The status says if there is NaN or -infinity. Costs
// above the ceiling count as infinite.
TransportStatus load_costs(const GroundDistance& ground, Costs* costs, DenseGraph* graph,
                           double ceiling, Workspace& space, Interrupt& interrupt,
                           CostFacts* facts) {
  const std::size_t n = graph->n, m = graph->m, padded = graph->padded;
  const KernelTable& table = *graph->table;
  const auto learn = [&](const CostScan& scan) {
    facts->largest = scan.largest;
    facts->whole = scan.whole && costs->exponent() == 0 && keeps_whole(scan.largest, n + m);
  };
  if (costs->is_in_place(padded) && ceiling == kInfinity) {
    const CostScan scan = table.scan(ground.matrix.data, ground.matrix.stride, n, m);
    if (scan.bad) return TransportStatus::bad_cost;
    if (!scan.forbidden && excess_exponent(scan.largest) == 0) {
      graph->costs = ground.matrix.data;
      graph->stride = ground.matrix.stride;
      learn(scan);
      return TransportStatus::optimal;
    }
  }
  auto* copy = space.take<double>(n * padded);
  const auto fill = [&] {
    for (std::size_t i = 0; i < n; ++i) {
      costs->row(i, padded, copy + i * padded);
      if (interrupt.due(costs->row_weight())) return false;
    }
    return true;
  };
  if (!fill()) return TransportStatus::cancelled;
  CostScan scan = table.scan(copy, padded, n, m);
  if (scan.bad) return TransportStatus::bad_cost;
  if (ground.kind == Ground::matrix && excess_exponent(scan.largest) != 0) {
    costs->scale_by(excess_exponent(scan.largest));
    if (!fill()) return TransportStatus::cancelled;
    scan = table.scan(copy, padded, n, m);
  }
  if (ceiling < kInfinity) {
    std::replace_if(
        copy, copy + n * padded, [ceiling](double cost) { return cost > ceiling; }, kInfinity);
    scan = table.scan(copy, padded, n, m);
  }
  learn(scan);
  if (scan.forbidden) {
    // A path that avoids the arc has at most 2 min(n, m) + 1 arcs.
    const double longest = 4.0 * static_cast<double>(std::min(n, m) + 1);
    facts->forbidden = std::ldexp(
        1.0, std::ilogb(scan.largest > 0 ? scan.largest : 1.0) + 1 + std::ilogb(longest) + 1);
    for (std::size_t i = 0; i < n; ++i)
      for (std::size_t j = 0; j < m; ++j)
        if (copy[i * padded + j] == kInfinity) copy[i * padded + j] = facts->forbidden;
    facts->largest = facts->forbidden;
    facts->whole = facts->whole && keeps_whole(facts->forbidden, n + m);
  }
  graph->costs = copy;
  graph->stride = padded;
  return TransportStatus::optimal;
}

// Room for four bytes an arc: keys of the assignment solver, or costs in single precision.
struct Narrow {
  void* data = nullptr;
  template <class T>
  T* take(const DenseGraph& graph, Workspace& space) {
    if (data == nullptr) data = space.take<float>(graph.n * padded_to(graph.m, kSingles));
    return static_cast<T*>(data);
  }
};

// Single precision halves what pricing has to read.
void add_singles(DenseGraph* graph, double largest, Narrow narrow, Workspace& space) {
  if (graph->n * graph->m < kWorthSingles || !(largest > 0)) return;
  graph->factor = std::ldexp(1.0, -std::ilogb(largest));
  const std::size_t stride = padded_to(graph->m, kSingles);
  auto* singles = narrow.take<float>(*graph, space);
  for (std::size_t i = 0; i < graph->n; ++i)
    graph->table->to_single(graph->costs + i * graph->stride, graph->factor, graph->m, stride,
                            singles + i * stride);
  graph->singles = singles;
  graph->single_stride = stride;
}

// ---- the simplex -----------------------------------------------------------------------------

// The supply of each row less the demand of each column, to be summed up along the tree.
struct NetSupply {
  std::int64_t* units;
  double* rests;  // null where all masses are whole
  double noise;   // rests below are rounding errors

  NetSupply(const Block& block, Workspace& space)
      : units(space.take<std::int64_t>(block.n + block.m)),
        rests(block.supply.rests != nullptr ? space.take<double>(block.n + block.m) : nullptr) {}

  void fill(const std::int64_t* supply, const std::int64_t* demand, const Block& block) {
    double all = 0.0;
    for (std::size_t j = 0; j < block.m; ++j) {
      units[j] = -demand[j];
      if (rests != nullptr) rests[j] = -block.demand.rests[j];
      all += std::fabs(block.demand.rest(j));
    }
    for (std::size_t i = 0; i < block.n; ++i) {
      units[block.m + i] = supply[i];
      if (rests != nullptr) rests[block.m + i] = block.supply.rests[i];
      all += std::fabs(block.supply.rest(i));
    }
    noise = all * 0x1p-48;
  }
};

template <class Graph, std::size_t Words, class Clock>
class BlockSimplex {
 public:
  BlockSimplex(const Graph& graph, const CostFacts& facts, const TransportOptions& options,
               Clock clock, Workspace& space, Interrupt& interrupt, Block* block)
      : graph_(graph),
        facts_(facts),
        limit_(options.max_pivots > 0 ? options.max_pivots : -1),
        space_(space),
        interrupt_(interrupt),
        block_(block),
        net_(*block, space),
        method_(graph, facts.largest, space, interrupt, clock) {}

  void solve() {
    const std::size_t n = graph_.n, m = graph_.m;
    auto* supply = space_.take<std::int64_t>(n);
    auto* demand = space_.take<std::int64_t>(m);
    std::copy_n(block_->supply.units, n, supply);
    std::copy_n(block_->demand.units, m, demand);
    RowSample<Graph> some(graph_, facts_.largest, supply, demand, space_, interrupt_);
    Start from;
    const bool guessed = some.guess(&from);
    perturb(block_->supply.units, n, block_->demand.units, m);
    if (!guessed || !method_.start(from, block_->supply.units, block_->demand.units, space_)) {
      block_->status = TransportStatus::cancelled;
      return;
    }
    block_->status = optimize();
    if (block_->status == TransportStatus::cancelled) return;
    keep_plan(supply, demand);
    if (block_->status == TransportStatus::optimal && is_worth_refining()) {
      refine(supply, demand);
      if (block_->status == TransportStatus::cancelled) return;
    }
    if (block_->status == TransportStatus::optimal && most_negative_ != kNone) {
      repair(supply, demand);
      if (block_->status == TransportStatus::cancelled) return;
    }
    if (!block_->twofold) {
      for (std::size_t j = 0; j < m; ++j) block_->v[j] = {method_.v()[j], 0.0};
      for (std::size_t i = 0; i < n; ++i) block_->u[i] = {method_.row_potential(i), 0.0};
    }
    block_->pivots = method_.pivots();
    block_->whole = facts_.whole;
  }

 private:
  // Potentials gather rounding errors: they are computed afresh until that changes no sign. Where
  // they are far below the largest cost, so is then the tolerance, and again where better plans
  // have made them smaller.
  TransportStatus optimize() {
    if (facts_.whole) {  // no rounding errors, so there is nothing that a tolerance could grow for
      TransportStatus status = method_.run(0.5, limit_);
      for (int k = 0; k < kMostRefreshes && more_to_see(status); ++k)
        status = method_.run(0.5, limit_);
      too_coarse_ = more_to_see(status);
      return status;
    }
    double tolerance = kTolerance * facts_.largest;
    TransportStatus status = method_.run(tolerance, limit_);
    const auto finer = [this] { return kTolerance * method_.largest_potential(); };
    bool much_finer = false;
    for (int k = 0; status == TransportStatus::optimal && (k < kRefreshes || much_finer); ++k) {
      if (k == kMostRefreshes) {
        too_coarse_ = true;
        break;
      }
      const std::int64_t before = method_.pivots();
      // A few pivots leave errors far below the tolerance.
      const bool fresh = k == 0 && before <= kFewPivots;
      if (!fresh) method_.refresh_potentials();
      much_finer = finer() < 0.25 * tolerance;
      if (fresh && !much_finer) break;
      if (much_finer) tolerance = finer();
      status = method_.run(tolerance, limit_);
      if (method_.is_noisy() || (method_.pivots() == before && !much_finer)) break;
      much_finer = finer() < 0.25 * tolerance || method_.has_grown();
    }
    return status;
  }

  bool more_to_see(TransportStatus status) const {
    return status == TransportStatus::optimal && method_.has_grown();
  }

  // With twice the precision, and a tolerance that follows the cost of the plan down.
  void refine(const std::int64_t* supply, const std::int64_t* demand) {
    block_->twofold = true;
    for (int k = 0; k < kMostRefreshes; ++k) {
      const double mean = mean_cost();
      block_->status = method_.refine(0x1p-52 * mean, limit_, block_->u, block_->v);
      if (block_->status == TransportStatus::cancelled) return;
      keep_plan(supply, demand);
      if (block_->status != TransportStatus::optimal || !(mean_cost() < 0.25 * mean)) return;
    }
  }

  // The flows that the tree gives to the masses as they are, without perturbation.
  void keep_plan(const std::int64_t* supply, const std::int64_t* demand) {
    const std::size_t m = graph_.m;
    net_.fill(supply, demand, *block_);
    method_.settle(net_.units, net_.rests);
    block_->arcs_n = 0;
    block_->blocked = false;
    const auto& tree = method_.tree();
    double lowest = -net_.noise;
    most_negative_ = kNone;
    for (std::size_t x = 0; x < tree.nodes(); ++x) {
      if (tree.parent(x) == kNoNode) continue;
      const auto parent = static_cast<std::size_t>(tree.parent(x));
      const std::int64_t sign = x < m ? -1 : 1;
      const std::int64_t units = sign * net_.units[x];
      const double rest = net_.rests != nullptr ? static_cast<double>(sign) * net_.rests[x] : 0.0;
      const double flow = static_cast<double>(units) + rest;
      if (flow < lowest) {
        lowest = flow;
        most_negative_ = x;
      }
      if (!(flow > net_.noise)) continue;
      const std::size_t i = x < m ? parent - m : x - m, j = x < m ? x : parent;
      const double cost = graph_.cost(i, j);
      block_->arcs[block_->arcs_n++] = {static_cast<std::int32_t>(i), static_cast<std::int32_t>(j),
                                        units, rest, cost};
      if (cost == facts_.forbidden) {
        block_->blocked = true;
        block_->blocked_row = i;
        block_->blocked_column = j;
      }
    }
  }

  // Masses far below a unit may flow backwards in the basis of the perturbed ones: the dual simplex
  // puts that right and keeps the potentials optimal.
  void repair(const std::int64_t* supply, const std::int64_t* demand) {
    block_->twofold = true;
    for (std::size_t k = 0; k < 4 * (graph_.n + graph_.m) && most_negative_ != kNone; ++k) {
      if (interrupt_.due(1 + graph_.n * graph_.row_weight() + graph_.n * graph_.m / 256)) {
        block_->status = TransportStatus::cancelled;
        return;
      }
      if (!method_.dual_pivot(most_negative_, block_->u, block_->v)) break;
      keep_plan(supply, demand);
    }
    if (most_negative_ != kNone) block_->status = TransportStatus::stopped;
  }

  // What a unit of mass costs in the plan.
  double mean_cost() const {
    double cost = 0.0, mass = 0.0;
    for (std::size_t k = 0; k < block_->arcs_n; ++k) {
      const double flow = static_cast<double>(block_->arcs[k].units) + block_->arcs[k].rest;
      cost += flow * std::fabs(block_->arcs[k].cost);
      mass += flow;
    }
    return mass > 0.0 ? cost / mass : 0.0;
  }

  bool is_worth_refining() const {
    const double mean = mean_cost();
    if (method_.is_noisy() || too_coarse_) return true;
    return !facts_.whole && mean > 0.0 && method_.largest_potential() > kWorthRefining * mean;
  }

  static constexpr std::size_t kNone = static_cast<std::size_t>(-1);

  const Graph& graph_;
  const CostFacts& facts_;
  std::int64_t limit_;
  Workspace& space_;
  Interrupt& interrupt_;
  Block* block_;
  NetSupply net_;
  NetworkSimplex<Graph, Words, Clock> method_;
  bool too_coarse_ = false;            // the tolerance has not reached the potentials
  std::size_t most_negative_ = kNone;  // the node whose flow to its parent is most negative
};

template <class Clock>
void simplex_on(const DenseGraph& graph, const CostFacts& facts, const TransportOptions& options,
                Clock clock, Workspace& space, Interrupt& interrupt, Block* block) {
  const auto with = [&](auto words) {
    BlockSimplex<DenseGraph, words, Clock>(graph, facts, options, clock, space, interrupt, block)
        .solve();
  };
  const std::size_t words = (graph.m + 63) / 64;
  if (words <= 1) return with(std::integral_constant<std::size_t, 1>{});
  if (words <= 2) return with(std::integral_constant<std::size_t, 2>{});
  if (words <= 4) return with(std::integral_constant<std::size_t, 4>{});
  if (words <= 8) return with(std::integral_constant<std::size_t, 8>{});
  if (words <= 16) return with(std::integral_constant<std::size_t, 16>{});
  with(std::integral_constant<std::size_t, 0>{});
}

template <class Clock>
void simplex_on(const PointGraph& graph, const CostFacts& facts, const TransportOptions& options,
                Clock clock, Workspace& space, Interrupt& interrupt, Block* block) {
  BlockSimplex<PointGraph, 0, Clock>(graph, facts, options, clock, space, interrupt, block).solve();
}

template <class Graph>
void simplex(const Graph& graph, const CostFacts& facts, const TransportOptions& options,
             TransportSteps* steps, Workspace& space, Interrupt& interrupt, Block* block) {
  if (options.steps)
    simplex_on(graph, facts, options, StepClock(steps), space, interrupt, block);
  else
    simplex_on(graph, facts, options, NoClock(steps), space, interrupt, block);
}

// ---- equal masses ----------------------------------------------------------------------------

constexpr std::size_t kFewestEqual = 4, kMostEqual = 768;  // rows; beyond, ties make searches slow

bool is_uniform(const Block& block) {
  if (block.n != block.m || block.n < kFewestEqual || block.n > kMostEqual) return false;
  const std::int64_t units = block.supply.units[0];
  const double rest = block.supply.rest(0);
  const auto all_same = [&](const MassVector& side) {
    for (std::size_t k = 0; k < side.size; ++k)
      if (side.units[k] != units || side.rest(k) != rest) return false;
    return true;
  };
  return all_same(block.supply) && all_same(block.demand);
}

// False where rounding errors have left an improvement, so that the simplex must look.
bool solve_assignment(const DenseGraph& graph, const CostFacts& facts, Narrow* narrow,
                      Workspace& space, Interrupt& interrupt, Block* block) {
  Assignment found;
  if (!assign(graph, facts.largest, kTolerance, narrow->take<std::int32_t>(graph, space), space,
              interrupt, &found)) {
    block->status = TransportStatus::cancelled;
    return true;
  }
  if (!found.complete) return false;
  double largest = 0.0, sum = 0.0, worst = 0.0;
  constexpr std::size_t kRows = 16;
  std::array<double, kRows> least;
  for (std::size_t i = 0; i < graph.n; ++i) {
    if (i % kRows == 0) graph.minima(i, std::min(kRows, graph.n - i), found.v, least.data());
    const auto j = static_cast<std::size_t>(found.column_of[i]);
    const double cost = graph.cost(i, j), u = cost - found.v[j];
    if (cost == facts.forbidden) return false;
    block->u[i] = {u, 0.0};
    block->v[j] = {found.v[j], 0.0};
    block->arcs[i] = {static_cast<std::int32_t>(i), found.column_of[i], block->supply.units[i],
                      block->supply.rest(i), cost};
    sum += std::fabs(cost);
    worst = std::max(worst, u - least[i % kRows]);
    largest = std::max({largest, std::fabs(cost), std::fabs(u), std::fabs(found.v[j])});
  }
  if (worst > kTolerance * largest) return false;
  if (!facts.whole && largest * static_cast<double>(graph.n) > kWorthRefining * sum) return false;
  block->arcs_n = graph.n;
  block->whole = facts.whole;
  return true;
}

// ---- costs of very different size ------------------------------------------------------------

constexpr double kTooWide = 0x1p60;   // potentials by the cost of a unit of mass
constexpr double kMuchMore = 0x1p20;  // a cost that no plan wants, by the largest that one has

bool is_too_wide(const Block& block) {
  double cost = 0.0, mass = 0.0, largest = 0.0;
  for (std::size_t k = 0; k < block.arcs_n; ++k) {
    const double flow = static_cast<double>(block.arcs[k].units) + block.arcs[k].rest;
    cost += flow * std::fabs(block.arcs[k].cost);
    mass += flow;
  }
  for (std::size_t i = 0; i < block.n; ++i) largest = std::max(largest, std::fabs(block.u[i].high));
  for (std::size_t j = 0; j < block.m; ++j) largest = std::max(largest, std::fabs(block.v[j].high));
  return cost > 0.0 && largest * mass > kTooWide * cost;
}

double largest_used(const Block& block) {
  double largest = 0.0;
  for (std::size_t k = 0; k < block.arcs_n; ++k)
    largest = std::max(largest, std::fabs(block.arcs[k].cost));
  return largest;
}

// No cost above the ceiling is an improvement.
bool keeps_out(const DenseGraph& graph, double ceiling, const Block& block) {
  for (std::size_t i = 0; i < graph.n; ++i)
    for (std::size_t j = 0; j < graph.m; ++j) {
      const double cost = graph.cost(i, j);
      if (cost > ceiling && subtract(cost, block.u[i], block.v[j]).value() < 0) return false;
    }
  return true;
}

// Whether no plan costs notably less, in twice the precision. Only costs of very different size can
// hide one: others are not looked at again.
bool is_certified(const DenseGraph& graph, const CostFacts& facts, const Block& block,
                  Workspace& space) {
  constexpr double kWideCosts = 0x1p40, kNotable = 0x1p-36;
  double cost = 0.0, mass = 0.0;
  const auto flow_of = [](const BlockArc& arc) {
    return static_cast<double>(arc.units) + arc.rest;
  };
  for (std::size_t k = 0; k < block.arcs_n; ++k) {
    cost += flow_of(block.arcs[k]) * std::fabs(block.arcs[k].cost);
    mass += flow_of(block.arcs[k]);
  }
  if (block.whole || cost == 0.0 || facts.largest * mass <= kWideCosts * cost) return true;
  auto* excess = space.take_filled<double>(graph.n, 0.0);
  for (std::size_t i = 0; i < graph.n; ++i)
    for (std::size_t j = 0; j < graph.m; ++j)
      excess[i] = std::max(excess[i], -subtract(graph.cost(i, j), block.u[i], block.v[j]).value());
  double gap = 0.0;
  for (std::size_t k = 0; k < block.arcs_n; ++k) {
    const BlockArc& arc = block.arcs[k];
    const auto i = static_cast<std::size_t>(arc.row), j = static_cast<std::size_t>(arc.column);
    const double reduced = subtract(arc.cost, block.u[i], block.v[j]).value();
    gap += flow_of(arc) * (excess[i] + std::fabs(reduced));
  }
  return gap <= kNotable * cost;
}

}  // namespace

void solve_block(const GroundDistance& ground, const TransportOptions& options, Costs* costs,
                 Workspace& space, Interrupt& interrupt, TransportSteps* steps, Block* block) {
  const std::size_t n = block->n, m = block->m, padded = padded_to(m, kColumns);
  const KernelTable& table = kernels();
  CostFacts facts;
  if (ground.kind != Ground::matrix && n * padded > kMostCosts) {
    facts.largest = std::min(costs->bound(), std::numeric_limits<double>::max());
    facts.whole = costs->is_whole() && keeps_whole(facts.largest, n + m);
    const PointGraph graph{n,     m,      padded,
                           costs, &table, space.take<double>(PointGraph::kRows * padded)};
    return simplex(graph, facts, options, steps, space, interrupt, block);
  }
  DenseGraph graph{n, m, padded, padded, nullptr, &table};
  block->status = load_costs(ground, costs, &graph, kInfinity, space, interrupt, &facts);
  if (block->status != TransportStatus::optimal) return;
  Narrow narrow;
  if (is_uniform(*block) && options.max_pivots == 0 &&
      solve_assignment(graph, facts, &narrow, space, interrupt, block))
    return;
  MassVector supply = copy_of(block->supply, space), demand = copy_of(block->demand, space);
  add_singles(&graph, facts.largest, narrow, space);
  simplex(graph, facts, options, steps, space, interrupt, block);
  if (block->status != TransportStatus::optimal || block->blocked) return;
  if (!(block->twofold && is_too_wide(*block)) && is_certified(graph, facts, *block, space)) return;

  // Twice the precision is not enough beside costs so far above the others: solve without them, and
  // see whether the potentials would take them in.
  const double ceiling = kMuchMore * largest_used(*block);
  block->supply = supply;
  block->demand = demand;
  block->twofold = false;
  DenseGraph lower{n, m, padded, padded, nullptr, &table};
  CostFacts lower_facts;
  block->status = load_costs(ground, costs, &lower, ceiling, space, interrupt, &lower_facts);
  if (block->status != TransportStatus::optimal) return;
  add_singles(&lower, lower_facts.largest, {}, space);
  simplex(lower, lower_facts, options, steps, space, interrupt, block);
  if (block->status != TransportStatus::optimal) return;
  const bool forbidden_in_use = block->blocked && facts.forbidden == kInfinity;
  if (forbidden_in_use || is_too_wide(*block) || !keeps_out(graph, ceiling, *block) ||
      !is_certified(graph, facts, *block, space)) {
    block->blocked = false;
    block->status = TransportStatus::out_of_range;
  }
}

}  // namespace imgsim
