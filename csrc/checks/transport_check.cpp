// The transport solver: every result has to prove itself.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <numeric>
#include <string>
#include <vector>

#include "check.hpp"
#include "imgsim/transport.hpp"
#include "imgsim/transport_batch.hpp"
#include "transport/node_sort.hpp"
#include "transport/row_sample.hpp"
#include "transport_instance.hpp"

using namespace imgsim;

namespace {

std::uint64_t digest = 14695981039346656037U;

// All bits of all distances, the same for every instruction set.
void digest_of(double value) {
  std::uint64_t bits;
  static_assert(sizeof bits == sizeof value, "float64");
  std::copy_n(reinterpret_cast<const unsigned char*>(&value), sizeof bits,
              reinterpret_cast<unsigned char*>(&bits));
  digest = (digest ^ bits) * 1099511628211U;
}

// The plan keeps the marginals and costs what is said; no plan can cost less.
void check_proof(const Instance& instance, const TransportResult& result) {
  const TransportProblem& problem = instance.problem;
  const std::string& name = instance.name;
  const std::size_t n = problem.supply.size, m = problem.demand.size;
  Vector sent(n), received(m);
  double cost = 0, size = 0, moved = 0;
  for (const TransportArc& arc : result.arcs) {
    const auto i = static_cast<std::size_t>(arc.source), j = static_cast<std::size_t>(arc.target);
    expect(i < n && j < m && arc.mass > 0, "an arc of " + name);
    if (i >= n || j >= m) return;
    sent[i] += arc.mass;
    received[j] += arc.mass;
    moved += arc.mass;
    cost += arc.mass * instance.cost(i, j);
    size += arc.mass * std::fabs(instance.cost(i, j));
  }
  const double total_a = std::accumulate(problem.supply.begin(), problem.supply.end(), 0.0),
               total_b = std::accumulate(problem.demand.begin(), problem.demand.end(), 0.0);
  const bool normal = problem.unequal == Unequal::normalize;
  const double per_a = normal ? total_a : 1, per_b = normal ? total_b : 1;
  const double slack = 1e-12 * std::max(total_a / per_a, total_b / per_b);
  for (std::size_t i = 0; i < n; ++i)
    expect(sent[i] <= problem.supply[i] / per_a + slack, "supply of " + name);
  for (std::size_t j = 0; j < m; ++j)
    expect(received[j] <= problem.demand[j] / per_b + slack, "demand of " + name);
  expect(std::fabs(moved - std::min(total_a / per_a, total_b / per_b)) <= slack,
         "mass moved of " + name);
  expect(std::fabs(cost - result.cost) <= 1e-12 * size, "cost of the plan of " + name);
  expect(result.cost - result.lower_bound <= 1e-12 * size, "gap of " + name);
  double widest = 0;
  for (std::size_t i = 0; i < n; ++i)
    for (std::size_t j = 0; j < m; ++j) widest = std::max(widest, std::fabs(instance.cost(i, j)));
  for (std::size_t i = 0; i < n; ++i)
    for (std::size_t j = 0; j < m; ++j)
      expect(result.u[i] + result.v[j] <= instance.cost(i, j) + 1e-15 * widest,
             "potentials of " + name);
}

void check_solve(const Instance& instance) {
  TransportOptions options;
  TransportSolver solver;
  TransportResult with_proof, alone;
  options.plan = options.proof = options.steps = true;
  solver.solve(instance.problem, options, &with_proof);
  expect(with_proof.status == TransportStatus::optimal, "status of " + instance.name);
  if (with_proof.status != TransportStatus::optimal) return;
  check_proof(instance, with_proof);
  solver.solve(instance.problem, TransportOptions{}, &alone);
  // Points on a line take another way there.
  expect(std::fabs(alone.cost - with_proof.cost) <=
             1e-13 * std::fabs(with_proof.cost) + 1e-15 * std::fabs(with_proof.cost),
         "cost alone of " + instance.name);
  digest_of(with_proof.cost);
  digest_of(alone.cost);
  for (const double u : with_proof.u) digest_of(u);
}

void check_sizes() {
  const std::vector<std::size_t> sizes = {1, 2, 3, 7, 8, 9, 17, 33, 64, 65, 130};
  for (const std::size_t n : sizes)
    for (const std::size_t m : {std::size_t{1}, n, std::size_t{5}, std::size_t{70}})
      for (int kind = 0; kind <= static_cast<int>(Ground::squared); ++kind)
        for (int data = 0; data < static_cast<int>(Data::kData); ++data)
          for (const Unequal unequal : {Unequal::error, Unequal::normalize, Unequal::partial}) {
            if (n * m > 1000 && (static_cast<int>(n) + kind + data) % 4 != 0) continue;
            const std::size_t dims = 1 + below(3);
            check_solve(
                Instance(n, m, dims, static_cast<Ground>(kind), static_cast<Data>(data), unequal));
          }
  check_solve(Instance(700, 600, 2, Ground::euclidean, Data::real, Unequal::normalize));
  check_solve(Instance(1100, 9, 2, Ground::matrix, Data::real, Unequal::error));
  check_solve(Instance(9, 1100, 2, Ground::matrix, Data::whole, Unequal::partial));
  for (int data = 0; data < static_cast<int>(Data::kData); ++data) {  // with a sample of the rows
    check_solve(Instance(2500, 3, 2, Ground::matrix, static_cast<Data>(data), Unequal::error));
    check_solve(
        Instance(40, 5000, 2, Ground::manhattan, static_cast<Data>(data), Unequal::normalize));
  }
}

// Costs beyond what is kept in memory are computed for each pricing: the same distance.
void check_recomputed_costs() {
  const std::size_t n = 2100, m = 2000;
  Instance points(n, m, 2, Ground::manhattan, Data::whole, Unequal::normalize);
  for (Vector* side : {&points.x, &points.y})
    for (double& value : *side) value = static_cast<double>(below(5000));
  TransportSolver solver;
  TransportResult result, same;
  solver.solve(points.problem, TransportOptions{}, &result);
  Vector costs(n * m);
  for (std::size_t i = 0; i < n; ++i)
    for (std::size_t j = 0; j < m; ++j) costs[i * m + j] = points.cost(i, j);
  points.problem.ground.kind = Ground::matrix;
  points.problem.ground.matrix = {costs.data(), n, m, m};
  solver.solve(points.problem, TransportOptions{}, &same);
  expect(result.cost == same.cost && result.cost > 0, "recomputed costs");
}

void check_outcomes() {
  TransportSolver solver;
  TransportResult result;
  const auto status_of = [&](Instance& instance, std::int64_t limit = 0) {
    TransportOptions options;
    options.max_pivots = limit;
    options.plan = options.proof = true;
    solver.solve(instance.problem, options, &result);
    return result.status;
  };
  Instance a(40, 40, 2, Ground::matrix, Data::real, Unequal::error);
  for (double& cost : a.costs)
    if (below(2) == 0) cost = INFINITY;
  const TransportStatus feasible = status_of(a);
  expect(feasible == TransportStatus::optimal && std::isfinite(result.cost), "forbidden arcs");
  for (std::size_t j = 0; j < 40; ++j) a.costs[7 * 40 + j] = INFINITY;
  expect(status_of(a) == TransportStatus::infeasible && result.blocked_source >= 0, "infeasible");
  a.costs[5] = NAN;
  expect(status_of(a) == TransportStatus::bad_cost, "a cost is NaN");
  Instance b(60, 60, 2, Ground::matrix, Data::real, Unequal::error);
  expect(status_of(b, 3) == TransportStatus::stopped && result.pivots == 3, "stopped");
  expect(result.lower_bound <= result.cost, "bound of a plan that was stopped");
  b.demand[0] += 100;
  expect(status_of(b) == TransportStatus::unbalanced, "unbalanced");
  Instance c(600, 600, 2, Ground::euclidean, Data::real, Unequal::normalize);
  TransportOptions options;
  options.cancel.poll = [](void*) { return true; };
  TransportStatus status = TransportStatus::optimal;
  for (int k = 0; k < 50 && status != TransportStatus::cancelled; ++k) {  // once it takes 20 ms
    solver.solve(c.problem, options, &result);
    status = result.status;
    if (k == 10) c = Instance(1500, 1500, 2, Ground::euclidean, Data::real, Unequal::normalize);
  }
  expect(status == TransportStatus::cancelled, "cancelled");
}

// What a matrix that changes during the call may become: the start of the simplex would wait for
// ever for a column whose potential is a number.
void check_a_sample_of_no_numbers() {
  constexpr std::size_t n = 4096, m = 8;
  const Vector costs(n * m, NAN);
  const std::vector<std::int64_t> supply(n, 1000), demand(m, 1000 * n / m);
  const DenseGraph graph{n, m, m, m, costs.data(), &kernels()};
  Workspace space;
  const Cancel cancel;
  Interrupt interrupt(cancel);
  RowSample<DenseGraph> sample(graph, 1.0, supply.data(), demand.data(), space, interrupt);
  Start start;
  expect(sample.guess(&start), "a sample is not interrupted");
  expect(start.potentials != nullptr, "a sample of costs that are no numbers");
  if (start.potentials == nullptr) return;
  for (std::size_t j = 0; j < m; ++j)
    expect(std::isfinite(start.potentials[j]), "a potential of a sample");
}

void check_sorting() {
  for (const std::size_t n :
       std::initializer_list<std::size_t>{0, 1, 32767, 32768, 32769, 65537, 200000}) {
    std::vector<double> keys(n);
    std::vector<Node> order(n), room(n);
    for (std::size_t k = 0; k < n; ++k) {
      keys[k] = static_cast<double>(below(1000));
      order[k] = static_cast<Node>(k);
    }
    const auto less = [&](Node x, Node y) {
      const double a = keys[static_cast<std::size_t>(x)], b = keys[static_cast<std::size_t>(y)];
      return a < b || (a == b && x < y);
    };
    std::vector<Node> want = order;
    std::sort(want.begin(), want.end(), less);
    const Cancel cancel;
    Interrupt interrupt(cancel);
    expect(sort_nodes(order.data(), n, room.data(), less, interrupt) && order == want,
           "sorted nodes");
  }
}

void check_batches() {
  const std::size_t rows = 12, bins = 40;
  Instance shared(bins, bins, 2, Ground::euclidean, Data::real, Unequal::normalize);
  shared.problem.ground.y = shared.problem.ground.x;
  shared.problem.ground.same_points = true;
  Vector masses(rows * bins);
  for (double& mass : masses) mass = uniform();
  std::vector<Signature> items(rows);
  for (std::size_t r = 0; r < rows; ++r) items[r].masses = {masses.data() + r * bins, bins};
  TransportBatch batch;
  batch.a = batch.b = {items.data(), rows};
  batch.ground = shared.problem.ground;
  batch.rule.rule = MassRule::normalize;
  Vector want;
  for (const std::size_t threads : {1U, 2U, 3U, 7U}) {
    Vector all(rows * rows), pairs(rows * (rows - 1) / 2), distances(rows * 3);
    std::vector<std::int64_t> indices(rows * 3);
    transport_cdist(batch, threads, Cancel{}, all.data());
    transport_pdist(batch, threads, Cancel{}, pairs.data());
    transport_knn(batch, 3, threads, Cancel{}, distances.data(), indices.data());
    if (want.empty()) want = all;
    expect(all == want, "cdist by threads");
    std::size_t k = 0;
    for (std::size_t i = 0; i < rows; ++i) {
      expect(all[i * rows + i] == 0 && indices[3 * i] == static_cast<std::int64_t>(i), "itself");
      for (std::size_t j = i + 1; j < rows; ++j) {
        expect(pairs[k++] == all[i * rows + j], "pdist");
        expect(all[i * rows + j] == all[j * rows + i], "symmetry");
      }
    }
  }
  batch.rule.rule = MassRule::error;
  Vector out(rows * rows);
  const BatchResult failed = transport_cdist(batch, 3, Cancel{}, out.data());
  expect(failed.status == TransportStatus::unbalanced && failed.a == 0 && failed.b == 1,
         "the first pair that fails");
}

}  // namespace

int main(int argc, char** argv) {
  return run_checks(argc, argv, [] {
    check_sizes();
    check_recomputed_costs();
    check_outcomes();
    check_a_sample_of_no_numbers();
    check_sorting();
    check_batches();
    std::printf("digest %016llx\n", static_cast<unsigned long long>(digest));
  });
}
