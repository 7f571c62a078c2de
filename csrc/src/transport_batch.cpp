#include "imgsim/transport_batch.hpp"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <mutex>
#include <thread>
#include <vector>

#include "imgsim/top_k.hpp"
#include "transport/costs.hpp"

namespace imgsim {
namespace {

// A rough estimate of one pair's time, to decide on threads and the size of pieces.
double nanoseconds(double n, double m) {
  return 500 + 60 * (n + m) + 6 * (n + m) * std::sqrt(n * m) / 4;
}

// Stops all threads: the calling one asks, the others are told.
class SharedCancel {
 public:
  explicit SharedCancel(const Cancel& cancel) : cancel_(cancel) {}
  Cancel view() { return {&SharedCancel::poll, this}; }

 private:
  static bool poll(void* self) {
    auto* shared = static_cast<SharedCancel*>(self);
    if (std::this_thread::get_id() == shared->caller_ && shared->cancel_.poll != nullptr &&
        !shared->stop_.load(std::memory_order_relaxed) &&
        shared->cancel_.poll(shared->cancel_.context))
      shared->stop_.store(true, std::memory_order_relaxed);
    return shared->stop_.load(std::memory_order_relaxed);
  }

  const Cancel& cancel_;
  const std::thread::id caller_ = std::this_thread::get_id();
  std::atomic<bool> stop_{false};
};

// Solvers that keep their memory, one for each thread that is at work.
class SolverPool {
 public:
  std::unique_ptr<TransportSolver> take() {
    const std::lock_guard<std::mutex> hold(mutex_);
    if (idle_.empty()) return std::make_unique<TransportSolver>();
    auto solver = std::move(idle_.back());
    idle_.pop_back();
    return solver;
  }
  void put_back(std::unique_ptr<TransportSolver> solver) {
    const std::lock_guard<std::mutex> hold(mutex_);
    idle_.push_back(std::move(solver));
  }

 private:
  std::mutex mutex_;
  std::vector<std::unique_ptr<TransportSolver>> idle_;
};

class Batch {
 public:
  Batch(const TransportBatch& batch, std::size_t threads, const Cancel& cancel)
      : batch_(batch), threads_(threads), shared_(cancel) {}

  // Calls pair(solve, begin, end) over ranges of `items`; solve(i, j) gives a distance.
  template <class Pairs>
  BatchResult run(std::size_t items, double pairs_per_item, const Pairs& pairs) {
    if (!has_good_costs()) return first_;
    const double each = typical_nanoseconds() * pairs_per_item;
    const std::size_t threads = useful_threads(threads_, each * static_cast<double>(items));
    const auto grain = static_cast<std::size_t>(std::max(1.0, 2e5 / each));
    const Cancel cancel = shared_.view();
    const bool done =
        parallel_for(items, grain, threads, cancel, [&](std::size_t begin, std::size_t end) {
          auto solver = solvers_.take();
          TransportResult result;
          const auto solve = [&](std::size_t i, std::size_t j) {
            return distance(i, j, solver.get(), &result);
          };
          pairs(solve, begin, end);
          solvers_.put_back(std::move(solver));
        });
    if (!done) first_.status = TransportStatus::cancelled;
    return first_;
  }

 private:
  // Looks at a matrix once for all pairs.
  bool has_good_costs() {
    const GroundDistance& ground = batch_.ground;
    if (ground.kind != Ground::matrix || ground.matrix_is_metric || ground.matrix_is_checked)
      return true;
    Interrupt interrupt(shared_.view());
    first_.status = check_costs(ground.matrix, interrupt);
    return first_.status == TransportStatus::optimal;
  }

  double typical_nanoseconds() const {
    const auto mean = [](Span<const Signature> all) {
      double sum = 0;
      for (const Signature& one : all) sum += static_cast<double>(one.masses.size);
      return all.empty() ? 0.0 : sum / static_cast<double>(all.size);
    };
    return nanoseconds(mean(batch_.a), mean(batch_.b));
  }

  double distance(std::size_t i, std::size_t j, TransportSolver* solver, TransportResult* result) {
    const Signature &a = batch_.a[i], &b = batch_.b[j];
    TransportProblem problem;
    problem.supply = a.masses;
    problem.demand = b.masses;
    problem.ground = batch_.ground;
    problem.ground.matrix_is_checked = true;
    batch_.rule.apply_to(&problem);
    if (a.points != nullptr) {
      problem.ground.x = a.points;
      problem.ground.y = b.points;
      problem.ground.same_points = a.points == b.points && a.masses.size == b.masses.size;
    }
    TransportOptions options;
    options.cancel = shared_.view();
    solver->solve(problem, options, result);
    double value = 0;
    if (result->status == TransportStatus::optimal) {
      value = batch_.rule.distance(*result);
      if (!std::isfinite(value)) result->status = TransportStatus::out_of_range;
    }
    if (result->status != TransportStatus::optimal && result->status != TransportStatus::cancelled)
      keep_first(i, j, *result);
    return value;
  }

  void keep_first(std::size_t i, std::size_t j, const TransportResult& result) {
    const std::lock_guard<std::mutex> hold(mutex_);
    const bool earlier = i < first_.a || (i == first_.a && j < first_.b);
    if (first_.status == TransportStatus::optimal || earlier)
      first_ = {result.status, i, j, result.blocked_source};
  }

  const TransportBatch& batch_;
  std::size_t threads_;
  SharedCancel shared_;
  SolverPool solvers_;
  std::mutex mutex_;
  BatchResult first_;
};

}  // namespace

void DistanceRule::apply_to(TransportProblem* problem) const {
  problem->unequal = rule == MassRule::error       ? Unequal::error
                     : rule == MassRule::normalize ? Unequal::normalize
                                                   : Unequal::partial;
  problem->divisor = rule == MassRule::partial  ? Divisor::moved
                     : rule == MassRule::opencv ? Divisor::larger_total
                                                : Divisor::none;
}

double DistanceRule::distance(const TransportResult& result) const {
  return rule == MassRule::penalty ? result.cost + penalty * result.left_over : result.cost;
}

BatchResult transport_cdist(const TransportBatch& batch, std::size_t threads, const Cancel& cancel,
                            double* out) {
  const std::size_t columns = batch.b.size;
  return Batch(batch, threads, cancel)
      .run(batch.a.size * columns, 1, [&](const auto& solve, std::size_t begin, std::size_t end) {
        for (std::size_t k = begin; k < end; ++k) out[k] = solve(k / columns, k % columns);
      });
}

BatchResult transport_pdist(const TransportBatch& batch, std::size_t threads, const Cancel& cancel,
                            double* out) {
  const std::size_t n = batch.a.size;
  const std::size_t pairs = n < 2 ? 0 : n * (n - 1) / 2;
  // Pair number k starts row i at i n - i (i + 1) / 2.
  const auto first_of = [n](std::size_t i) { return i * n - i * (i + 1) / 2; };
  TransportBatch both = batch;
  both.b = batch.a;
  return Batch(both, threads, cancel)
      .run(pairs, 1, [&](const auto& solve, std::size_t begin, std::size_t end) {
        std::size_t i = 0, beyond = n - 1;
        while (beyond - i > 1) {  // the last row that starts at or before `begin`
          const std::size_t middle = i + (beyond - i) / 2;
          (first_of(middle) <= begin ? i : beyond) = middle;
        }
        std::size_t j = i + 1 + (begin - first_of(i));
        for (std::size_t k = begin; k < end; ++k) {
          out[k] = solve(i, j);
          if (++j == n) j = ++i + 1;
        }
      });
}

BatchResult transport_knn(const TransportBatch& batch, std::size_t k, std::size_t threads,
                          const Cancel& cancel, double* distances, std::int64_t* indices) {
  const std::size_t rows = batch.b.size;
  std::vector<double> all(batch.a.size * rows);
  const BatchResult result = transport_cdist(batch, threads, cancel, all.data());
  if (result.status != TransportStatus::optimal) return result;
  for (std::size_t q = 0; q < batch.a.size; ++q) {
    TopK nearest(k);
    for (std::size_t r = 0; r < rows; ++r)
      nearest.push(all[q * rows + r], static_cast<std::int64_t>(r));
    std::size_t at = q * k;
    for (const Neighbor& neighbor : nearest.take_sorted()) {
      distances[at] = neighbor.distance;
      indices[at++] = neighbor.index;
    }
  }
  return result;
}

}  // namespace imgsim
