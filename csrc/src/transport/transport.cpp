#include "imgsim/transport.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

#include "transport/assignment.hpp"
#include "transport/certificate.hpp"
#include "transport/costs.hpp"
#include "transport/dense_graph.hpp"
#include "transport/exact_sum.hpp"
#include "transport/masses.hpp"
#include "transport/network_simplex.hpp"
#include "transport/point_graph.hpp"
#include "transport/support.hpp"
#include "transport/workspace.hpp"

namespace imgsim {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();
// Costs of points are kept up to so many arcs (32 MB), beyond computed again for each pricing.
constexpr std::size_t kMostCosts = std::size_t{1} << 22;
constexpr int kExtreme = 400;  // exponents of costs beyond are scaled away
// Reduced costs below -2^-49 of the largest cost are improvements; above, rounding errors.
constexpr double kTolerance = 0x1p-49;
constexpr int kRefreshes = 3;

std::size_t padded_to_columns(std::size_t m) {
  return (m + kColumns - 1) / kColumns * kColumns;
}

// A problem with two sides, rows and columns, and the solution of it.
struct Block {
  std::size_t n, m;
  std::int64_t *supply, *demand;
  // The solution: potentials, and positive flows of a basis.
  double *u, *v;
  std::int32_t *arc_row, *arc_column;
  std::int64_t* arc_units;
  std::size_t arcs = 0;
  std::int64_t pivots = 0;
  TransportStatus status = TransportStatus::optimal;

  void add(std::size_t i, std::size_t j, std::int64_t units) {
    arc_row[arcs] = static_cast<std::int32_t>(i);
    arc_column[arcs] = static_cast<std::int32_t>(j);
    arc_units[arcs++] = units;
  }
};

// What has to be known about costs before a solver can use them.
struct CostFacts {
  double largest = 0.0;  // of the finite ones, by magnitude
  bool whole = false;    // all are whole numbers that sums and differences keep exact
  bool forbidden = false;
};

// ---- the dense costs -------------------------------------------------------------------------

// The matrix where it is, or a padded copy; infinite costs become `*forbidden`, larger than any
// detour could be worth. Returns false for NaN and -infinity.
bool load_costs(const GroundDistance& ground, Costs* costs, DenseGraph* graph, Workspace& space,
                CostFacts* facts, double* forbidden) {
  const std::size_t n = graph->n, m = graph->m, padded = graph->padded;
  const KernelTable& table = *graph->table;
  CostScan scan;
  if (costs->is_in_place(padded)) {
    scan = table.scan(ground.matrix.data, ground.matrix.stride, n, m);
    if (scan.bad) return false;
    const bool extreme = scan.largest > 0 && std::abs(std::ilogb(scan.largest)) > kExtreme;
    if (!scan.forbidden && !extreme) {
      graph->costs = ground.matrix.data;
      graph->stride = ground.matrix.stride;
      *facts = {scan.largest, scan.whole && scan.largest < 0x1p40, false};
      return true;
    }
  }
  auto* block = space.take<double>(n * padded);
  for (std::size_t i = 0; i < n; ++i) costs->row(i, padded, block + i * padded);
  scan = table.scan(block, padded, n, m);
  if (scan.bad) return false;
  const int level = scan.largest > 0 ? std::ilogb(scan.largest) : 0;
  if (ground.kind == Ground::matrix && std::abs(level) > kExtreme) {
    costs->scale_by(level);
    for (std::size_t i = 0; i < n; ++i) costs->row(i, padded, block + i * padded);
    scan = table.scan(block, padded, n, m);
  }
  if (scan.forbidden) {
    const double detour = 2.0 * static_cast<double>(std::min(n, m) + 1);
    *forbidden = std::ldexp(
        1.0, std::ilogb(scan.largest > 0 ? scan.largest : 1.0) + 1 + std::ilogb(detour) + 1);
    for (std::size_t i = 0; i < n; ++i)
      for (std::size_t j = 0; j < m; ++j)
        if (block[i * padded + j] == kInfinity) block[i * padded + j] = *forbidden;
  }
  graph->costs = block;
  graph->stride = padded;
  *facts = {scan.largest, scan.whole && scan.largest < 0x1p40, scan.forbidden};
  return true;
}

// ---- the simplex -----------------------------------------------------------------------------

// Orden's perturbation: one unit more for each row, all of them for the largest column. As long as
// masses differ by more than n units, no proper part of the rows then balances a part of the
// columns.
void perturb(Block* block) {
  for (std::size_t i = 0; i < block->n; ++i) ++block->supply[i];
  *std::max_element(block->demand, block->demand + block->m) += static_cast<std::int64_t>(block->n);
}

template <class Graph, std::size_t Words, class Clock>
void simplex(const Graph& graph, const CostFacts& facts, double largest, std::int64_t max_pivots,
             Clock clock, Workspace& space, Interrupt& interrupt, Block* block) {
  const std::size_t n = graph.n, m = graph.m;
  auto* net = space.take<std::int64_t>(n + m);
  for (std::size_t j = 0; j < m; ++j) net[j] = -block->demand[j];
  std::copy_n(block->supply, n, net + m);
  perturb(block);
  NetworkSimplex<Graph, Words, Clock> method(graph, space, interrupt, clock);
  if (!method.start(block->supply, block->demand)) {
    block->status = TransportStatus::cancelled;
    return;
  }
  const std::int64_t limit = max_pivots > 0 ? max_pivots : -1;
  block->status = method.run(kTolerance * largest, limit);
  // Potentials have gathered rounding errors: compute them afresh, and see if that changes a sign.
  for (int k = 0; k < kRefreshes && !facts.whole && block->status == TransportStatus::optimal;
       ++k) {
    const std::int64_t before = method.pivots();
    method.refresh_potentials();
    block->status = method.run(kTolerance * largest, limit);
    if (method.pivots() == before) break;
  }
  block->pivots = method.pivots();
  if (block->status == TransportStatus::cancelled) return;

  method.settle(net);
  const auto& tree = method.tree();
  for (std::size_t x = 0; x < n + m; ++x) {
    if (tree.parent(x) == kNoNode) continue;
    const auto parent = static_cast<std::size_t>(tree.parent(x));
    const std::int64_t units = x < m ? -net[x] : net[x];
    if (units > 0) block->add(x < m ? parent - m : x - m, x < m ? x : parent, units);
  }
  std::copy_n(method.v(), m, block->v);
  for (std::size_t i = 0; i < n; ++i) block->u[i] = method.row_potential(i);
}

template <class Clock>
void simplex_on(const DenseGraph& graph, const CostFacts& facts, double largest,
                std::int64_t max_pivots, Clock clock, Workspace& space, Interrupt& interrupt,
                Block* block) {
  const auto with = [&](auto words) {
    simplex<DenseGraph, words>(graph, facts, largest, max_pivots, clock, space, interrupt, block);
  };
  const std::size_t words = (graph.m + 63) / 64;
  if (words <= 1) return with(std::integral_constant<std::size_t, 1>{});
  if (words <= 2) return with(std::integral_constant<std::size_t, 2>{});
  if (words <= 4) return with(std::integral_constant<std::size_t, 4>{});
  if (words <= 8) return with(std::integral_constant<std::size_t, 8>{});
  if (words <= 16) return with(std::integral_constant<std::size_t, 16>{});
  with(std::integral_constant<std::size_t, 0>{});
}

// ---- equal masses ----------------------------------------------------------------------------

bool is_uniform(const Block& block) {
  if (block.n != block.m || block.n < 4) return false;
  const std::int64_t mass = block.supply[0];
  const auto same = [mass](std::int64_t x) { return x == mass; };
  return std::all_of(block.supply, block.supply + block.n, same) &&
         std::all_of(block.demand, block.demand + block.m, same);
}

// False where rounding errors have left an improvement, so that the simplex must look.
bool solve_assignment(const DenseGraph& graph, double largest, Workspace& space,
                      Interrupt& interrupt, Block* block) {
  Assignment found;
  if (!assign(graph, space, interrupt, &found)) {
    block->status = TransportStatus::cancelled;
    return true;
  }
  for (std::size_t i = 0; i < graph.n; ++i) {
    const auto j = static_cast<std::size_t>(found.column_of[i]);
    block->u[i] = graph.cost(i, j) - found.v[j];
    double least;
    graph.minima(i, 1, found.v, &least);
    if (least - block->u[i] < -kTolerance * largest) return false;
  }
  std::copy_n(found.v, graph.m, block->v);
  for (std::size_t i = 0; i < graph.n; ++i)
    block->add(i, static_cast<std::size_t>(found.column_of[i]), block->supply[i]);
  return true;
}

// ---- orientation -----------------------------------------------------------------------------

// Sets of columns are bits, so columns should be few. Of two sides of equal size the one with the
// lesser masses becomes the columns, so that swapping the sides of a problem changes nothing.
bool should_transpose(const GroundDistance& ground, const Support& support) {
  const std::size_t n = support.sources.size, m = support.targets.size;
  if (ground.kind == Ground::matrix) return m > 512 && m > 4 * n;  // a copy in another order
  if (n != m) return n < m;
  return std::lexicographical_compare(support.supply, support.supply + n, support.demand,
                                      support.demand + m);
}

double in_range(double value, int exponent, TransportStatus* status) {
  const double scaled = std::ldexp(value, exponent);
  const double size = std::fabs(scaled);
  if (value != 0 && !(size >= std::numeric_limits<double>::min() && size < kInfinity))
    *status = TransportStatus::out_of_range;
  return scaled;
}

}  // namespace

struct TransportSolver::State {
  State() {}  // leaves the workspace as it is
  Workspace space;
  std::vector<PlaceArc> between;

  void solve(const TransportProblem& problem, const TransportOptions& options,
             TransportResult* result);
  void solve_block(const TransportProblem& problem, const TransportOptions& options,
                   const Support& support, bool transposed, Costs* costs, CostFacts* facts,
                   Block* block, TransportResult* result);
  void finish(const TransportProblem& problem, const TransportOptions& options,
              const Support& support, const WholeMasses& masses, const CertifiedMasses& all,
              bool transposed, const Costs& costs, const CostFacts& facts, const Block& block,
              TransportResult* result);
  bool prove(const TransportProblem& problem, const TransportOptions& options,
             const Support& support, const WholeMasses& masses, const CertifiedMasses& all,
             bool transposed, const Costs& costs, const CostFacts& facts, const Block& block,
             TransportResult* result);
};

void TransportSolver::State::solve_block(const TransportProblem& problem,
                                         const TransportOptions& options, const Support& support,
                                         bool transposed, Costs* costs, CostFacts* facts,
                                         Block* block, TransportResult* result) {
  Interrupt interrupt(options.cancel);
  const std::size_t n = block->n, m = block->m, padded = padded_to_columns(m);
  const KernelTable& table = kernels();
  const bool dense = problem.ground.kind == Ground::matrix || n * padded <= kMostCosts;
  if (!dense) {
    *facts = {costs->bound(), costs->is_whole() && costs->bound() < 0x1p40, false};
    const PointGraph graph{n,     m,      padded,
                           costs, &table, space.take<double>(PointGraph::kRows * padded)};
    if (options.steps)
      simplex<PointGraph, 0>(graph, *facts, facts->largest, options.max_pivots,
                             StepClock(&result->steps), space, interrupt, block);
    else
      simplex<PointGraph, 0>(graph, *facts, facts->largest, options.max_pivots,
                             NoClock(&result->steps), space, interrupt, block);
    return;
  }
  DenseGraph graph{n, m, padded, padded, nullptr, &table};
  double forbidden = kInfinity;
  if (!load_costs(problem.ground, costs, &graph, space, facts, &forbidden)) {
    block->status = TransportStatus::bad_cost;
    return;
  }
  const double largest = facts->forbidden ? forbidden : facts->largest;
  const bool done = is_uniform(*block) && options.max_pivots == 0 &&
                    solve_assignment(graph, largest, space, interrupt, block);
  if (!done) {
    if (options.steps)
      simplex_on(graph, *facts, largest, options.max_pivots, StepClock(&result->steps), space,
                 interrupt, block);
    else
      simplex_on(graph, *facts, largest, options.max_pivots, NoClock(&result->steps), space,
                 interrupt, block);
  }
  if (!facts->forbidden) return;
  for (std::size_t k = 0; k < block->arcs; ++k) {
    const auto i = static_cast<std::size_t>(block->arc_row[k]),
               j = static_cast<std::size_t>(block->arc_column[k]);
    if (graph.cost(i, j) != forbidden) continue;
    if (block->status == TransportStatus::optimal) block->status = TransportStatus::infeasible;
    result->blocked_source = support.sources.ids[transposed ? j : i];
    return;
  }
}

void TransportSolver::State::finish(const TransportProblem& problem,
                                    const TransportOptions& options, const Support& support,
                                    const WholeMasses& masses, const CertifiedMasses& all,
                                    bool transposed, const Costs& costs, const CostFacts& facts,
                                    const Block& block, TransportResult* result) {
  ExactSum sums[4];  // side by side: additions wait for the last one to the same sum
  for (std::size_t k = 0; k < block.arcs; ++k) {
    const auto i = static_cast<std::size_t>(block.arc_row[k]),
               j = static_cast<std::size_t>(block.arc_column[k]);
    const double cost = costs.at(i, j);
    const auto units = static_cast<double>(block.arc_units[k]);
    sums[k % 4].add_product(units, cost);
    const std::int64_t rest = block.arc_units[k] - static_cast<std::int64_t>(units);
    if (rest != 0) sums[k % 4].add_product(static_cast<double>(rest), cost);
  }
  for (int k = 1; k < 4; ++k) sums[0].add(sums[k]);
  const double value = masses.divisor != 1.0 ? sums[0].value() / masses.divisor : sums[0].value();
  const int unit = masses.divisor != 1.0 ? 0 : masses.exponent;
  result->cost = in_range(value, unit + costs.exponent(), &result->status);
  if (options.proof &&
      !prove(problem, options, support, masses, all, transposed, costs, facts, block, result))
    return;
  if (!options.plan) return;
  between.clear();
  for (std::size_t k = 0; k < block.arcs; ++k) {
    std::size_t s = static_cast<std::size_t>(block.arc_row[k]),
                t = static_cast<std::size_t>(block.arc_column[k]);
    if (transposed) std::swap(s, t);
    const std::int32_t source = support.source_places[s], target = support.target_places[t];
    if (source != kDummy && target != kDummy)
      between.push_back({source, target, block.arc_units[k]});
  }
  expand(problem, support, masses, &between, space, &result->arcs);
}

bool TransportSolver::State::prove(const TransportProblem& problem, const TransportOptions& options,
                                   const Support& support, const WholeMasses& masses,
                                   const CertifiedMasses& all, bool transposed, const Costs& costs,
                                   const CostFacts& facts, const Block& block,
                                   TransportResult* result) {
  result->u.assign(problem.supply.size, std::numeric_limits<double>::quiet_NaN());
  result->v.assign(problem.demand.size, 0.0);
  const double* source_u = transposed ? block.v : block.u;
  const double* target_v = transposed ? block.u : block.v;
  double cap = 0.0;
  for (std::size_t s = 0; s < support.sources.size; ++s) {
    if (support.sources.ids[s] == kDummy)
      cap = -source_u[s];
    else
      result->u[static_cast<std::size_t>(support.sources.ids[s])] = source_u[s];
  }
  if (support.targets.size > 0 && support.targets.ids[support.targets.size - 1] == kDummy)
    cap = -target_v[support.targets.size - 1];
  const Certificate proof = certify(problem, all, costs.exponent(), facts.whole, cap,
                                    result->u.data(), result->v.data(), space, options.cancel);
  if (!proof.complete) {
    result->status = TransportStatus::cancelled;
    return false;
  }
  for (double& x : result->u) x = std::ldexp(x, proof.exponent);
  for (double& x : result->v) x = std::ldexp(x, proof.exponent);
  const bool divided = masses.divisor != 1.0;
  const double bound = divided ? proof.bound / masses.divisor : proof.bound;
  const int exponent = proof.exponent + (divided ? 0 : masses.exponent);
  result->lower_bound = std::min(std::ldexp(bound, exponent), result->cost);
  return true;
}

void TransportSolver::State::solve(const TransportProblem& problem, const TransportOptions& options,
                                   TransportResult* result) {
  space.clear();
  const std::size_t n = problem.supply.size, m = problem.demand.size;
  constexpr auto kMostNodes = static_cast<std::size_t>(std::numeric_limits<Node>::max()) - 2;
  if (n > kMostNodes || m > kMostNodes - n) {
    result->status = TransportStatus::too_large;
    return;
  }
  WholeMasses masses;
  masses.supply = space.take<std::int64_t>(n);
  masses.demand = space.take<std::int64_t>(m);
  const bool comparable = to_whole(problem, &masses);
  if (!comparable) {
    result->status = TransportStatus::unbalanced;
    return;
  }
  CertifiedMasses all{masses.supply, masses.demand, masses.supply_total, masses.demand_total};
  if (options.proof) {  // the reduction overwrites them
    auto* supply = space.take<std::int64_t>(n);
    auto* demand = space.take<std::int64_t>(m);
    std::copy_n(masses.supply, n, supply);
    std::copy_n(masses.demand, m, demand);
    all.supply = supply;
    all.demand = demand;
  }
  result->supply_total = masses.mass(static_cast<double>(masses.supply_total));
  result->demand_total = masses.mass(static_cast<double>(masses.demand_total));
  result->moved = std::min(result->supply_total, result->demand_total);

  const Support support = reduce(problem, &masses, space);
  const bool transposed = should_transpose(problem.ground, support);
  const Side& rows = transposed ? support.targets : support.sources;
  const Side& columns = transposed ? support.sources : support.targets;
  Block block{};
  block.n = rows.size;
  block.m = columns.size;
  block.supply = transposed ? support.demand : support.supply;
  block.demand = transposed ? support.supply : support.demand;
  const std::size_t most_arcs = rows.size + columns.size;
  block.u = space.take<double>(block.n);
  block.v = space.take<double>(block.m);
  block.arc_row = space.take<std::int32_t>(most_arcs);
  block.arc_column = space.take<std::int32_t>(most_arcs);
  block.arc_units = space.take<std::int64_t>(most_arcs);

  Costs costs(problem.ground, rows, columns, transposed, space);
  CostFacts facts;
  facts.whole = true;
  if (block.n > 0 && block.m > 0)
    solve_block(problem, options, support, transposed, &costs, &facts, &block, result);
  result->pivots = block.pivots;
  result->status = block.status;
  if (block.status == TransportStatus::optimal || block.status == TransportStatus::stopped)
    finish(problem, options, support, masses, all, transposed, costs, facts, block, result);
}

TransportSolver::TransportSolver() : state_(std::make_unique<State>()) {}
TransportSolver::~TransportSolver() = default;

void TransportSolver::solve(const TransportProblem& problem, const TransportOptions& options,
                            TransportResult* result) {
  result->status = TransportStatus::optimal;
  result->cost = result->moved = result->lower_bound = 0.0;
  result->supply_total = result->demand_total = 0.0;
  result->pivots = 0;
  result->blocked_source = -1;
  result->arcs.clear();
  result->u.clear();
  result->v.clear();
  result->steps = {};
  state_->solve(problem, options, result);
}

std::size_t transport_bytes(std::size_t n, std::size_t m, const GroundDistance& ground) {
  const auto rows = static_cast<double>(n), columns = static_cast<double>(m);
  const double fewer = std::min(rows, columns), arcs = rows * columns;
  const bool dense = ground.kind == Ground::matrix || arcs <= static_cast<double>(kMostCosts);
  const double sets = (rows + columns) * (fewer / 64 + 1) * 8;
  const double points = (rows + columns) * static_cast<double>(ground.dims) * 16;
  const double bytes = (dense ? arcs * 8 : 0) + sets + points + (rows + columns) * 160 + 65536;
  return bytes < 9e18 ? static_cast<std::size_t>(bytes) : std::numeric_limits<std::size_t>::max();
}

}  // namespace imgsim
