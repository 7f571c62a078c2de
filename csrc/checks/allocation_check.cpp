// Memory that is refused: every allocation of every entry of the transport solver, and of the
// search by codes, fails once. What comes out is std::bad_alloc and nothing else, nothing leaks,
// and the same solver then gives the same bits as if nothing had happened.
//
// The operators new and delete of the whole program are replaced, on top of malloc() and free(), so
// that sanitizers go on seeing each block.
#include <atomic>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <memory>
#include <new>
#include <string>
#include <thread>
#include <vector>

#include "check.hpp"
#include "imgsim/code_tree.hpp"
#include "imgsim/coded_search.hpp"
#include "imgsim/ground_distance.hpp"
#include "imgsim/parallel.hpp"
#include "imgsim/transport.hpp"
#include "imgsim/transport_batch.hpp"
#include "transport_instance.hpp"

namespace {

// ---- operators that count, and refuse ---------------------------------------------------------

struct Block {
  void* start;  // what malloc() gave
  std::size_t size, alignment;
};

std::atomic<long long> live{0};      // bytes that somebody holds
std::atomic<long> wrong_deletes{0};  // with another size or alignment than they were asked for
std::atomic<bool> is_armed{false};
std::atomic<long> calls{0};
std::atomic<bool> has_refused{false};
long first_refused = 0;  // written while no other thread runs
bool refuses_all_after = false;

bool is_refused() {
  if (!is_armed.load()) return false;
  const long call = ++calls;
  const bool refused = refuses_all_after ? call >= first_refused : call == first_refused;
  if (refused) has_refused = true;
  return refused;
}

Block* block_of(void* data) {
  return reinterpret_cast<Block*>(data) - 1;
}

void* allocate(std::size_t size, std::size_t alignment) noexcept {
  if (is_refused() || size > SIZE_MAX / 2) return nullptr;
  alignment = alignment < alignof(Block) ? alignof(Block) : alignment;
  void* start = std::malloc(size + sizeof(Block) + alignment);
  if (start == nullptr) return nullptr;
  const std::uintptr_t first = reinterpret_cast<std::uintptr_t>(start) + sizeof(Block);
  const std::uintptr_t data = (first + alignment - 1) & ~std::uintptr_t{alignment - 1};
  auto* taken = static_cast<unsigned char*>(start) + (data - first) + sizeof(Block);
  new (taken - sizeof(Block)) Block{start, size, alignment};
  live += static_cast<long long>(size);
  return taken;
}

void* allocate_or_throw(std::size_t size, std::size_t alignment) {
  void* data = allocate(size, alignment);
  if (data == nullptr) throw std::bad_alloc();
  return data;
}

constexpr std::size_t kAnySize = SIZE_MAX, kUsual = __STDCPP_DEFAULT_NEW_ALIGNMENT__;

void release(void* data, std::size_t size, std::size_t alignment) noexcept {
  if (data == nullptr) return;
  const Block block = *block_of(data);
  if ((size != kAnySize && size != block.size) || alignment != block.alignment) ++wrong_deletes;
  live -= static_cast<long long>(block.size);
  std::free(block.start);
}

std::size_t number(std::align_val_t alignment) {
  return static_cast<std::size_t>(alignment);
}

}  // namespace

using Alignment = std::align_val_t;
using NoThrow = const std::nothrow_t&;

void* operator new(std::size_t n) {
  return allocate_or_throw(n, kUsual);
}
void* operator new[](std::size_t n) {
  return allocate_or_throw(n, kUsual);
}
void* operator new(std::size_t n, Alignment a) {
  return allocate_or_throw(n, number(a));
}
void* operator new[](std::size_t n, Alignment a) {
  return allocate_or_throw(n, number(a));
}
void* operator new(std::size_t n, NoThrow) noexcept {
  return allocate(n, kUsual);
}
void* operator new[](std::size_t n, NoThrow) noexcept {
  return allocate(n, kUsual);
}
void* operator new(std::size_t n, Alignment a, NoThrow) noexcept {
  return allocate(n, number(a));
}
void* operator new[](std::size_t n, Alignment a, NoThrow) noexcept {
  return allocate(n, number(a));
}
void operator delete(void* p) noexcept {
  release(p, kAnySize, kUsual);
}
void operator delete[](void* p) noexcept {
  release(p, kAnySize, kUsual);
}
void operator delete(void* p, std::size_t n) noexcept {
  release(p, n, kUsual);
}
void operator delete[](void* p, std::size_t n) noexcept {
  release(p, n, kUsual);
}
void operator delete(void* p, Alignment a) noexcept {
  release(p, kAnySize, number(a));
}
void operator delete[](void* p, Alignment a) noexcept {
  release(p, kAnySize, number(a));
}
void operator delete(void* p, std::size_t n, Alignment a) noexcept {
  release(p, n, number(a));
}
void operator delete[](void* p, std::size_t n, Alignment a) noexcept {
  release(p, n, number(a));
}
void operator delete(void* p, NoThrow) noexcept {
  release(p, kAnySize, kUsual);
}
void operator delete[](void* p, NoThrow) noexcept {
  release(p, kAnySize, kUsual);
}
void operator delete(void* p, Alignment a, NoThrow) noexcept {
  release(p, kAnySize, number(a));
}
void operator delete[](void* p, Alignment a, NoThrow) noexcept {
  release(p, kAnySize, number(a));
}

using namespace imgsim;

namespace {

// ---- failing at each call ----------------------------------------------------------------------

enum class Outcome { done, refused, other };

// Runs `call` with the k-th allocation refused, or all from there on.
template <class Call>
Outcome run_refusing(long k, bool all_after, const Call& call) {
  Outcome outcome = Outcome::done;
  first_refused = k;
  refuses_all_after = all_after;
  calls = 0;
  has_refused = false;
  is_armed = true;
  try {
    call();
  } catch (const std::bad_alloc&) {
    outcome = Outcome::refused;
  } catch (...) {
    outcome = Outcome::other;
  }
  is_armed = false;
  return outcome;
}

// Solvers wait for the next problem and keep their memory. Afterwards those that wait have none:
// the new ones are given back first, and no more are kept.
void forget_waiting_solvers() {
  constexpr std::size_t kMoreThanWait = 18;
  const auto old = std::make_unique<TransportSolver[]>(kMoreThanWait);
  const auto fresh = std::make_unique<TransportSolver[]>(kMoreThanWait);
}

bool same_bits(const Vector& x, const Vector& y) {
  return x.size() == y.size() &&
         (x.empty() || std::memcmp(x.data(), y.data(), x.size() * sizeof(double)) == 0);
}

long all_refused = 0;

// make() returns something with run() and numbers(), all that run() has found.
template <class Make>
void sweep(const std::string& name, const Make& make) {
  Vector want;
  {
    auto subject = make();
    subject.run();
    want = subject.numbers();
  }
  long refused = 0;
  for (const bool all_after : {false, true}) {
    for (long k = 1;; ++k) {
      const std::string here = name + ", call " + std::to_string(k);
      forget_waiting_solvers();
      const long long before = live;
      bool reached;
      {
        auto subject = make();
        const Outcome outcome = run_refusing(k, all_after, [&] { subject.run(); });
        reached = has_refused;
        expect(outcome != Outcome::other, "only bad_alloc: " + here);
        expect(reached || outcome == Outcome::done, "bad_alloc without a reason: " + here);
        refused += outcome == Outcome::refused;
        // Where it is done it has found another way, with fewer threads.
        if (outcome == Outcome::done)
          expect(same_bits(subject.numbers(), want), "the answer: " + here);
        subject.run();
        expect(same_bits(subject.numbers(), want), "the next answer: " + here);
      }
      forget_waiting_solvers();
      const long long leaked = live - before;  // before a message takes memory
      expect(leaked == 0, "no leak: " + here + ", " + std::to_string(leaked) + " bytes");
      if (!reached || failures > 20) break;
    }
  }
  all_refused += refused;
  std::printf("%4ld refused: %s\n", refused, name.c_str());
}

// The waiting room of the solvers comes into being with the first of them.
void check_first_use() {
  long most = 0;
  for (long k = 1;; ++k) {
    bool reached = false;
    long long grown = 0;
    // What stays after the first time is kept for calls to come.
    for (int times = 0; times < 3; ++times) {
      const long long before = live;
      const Outcome outcome = run_refusing(k, true, [] { const TransportSolver solver; });
      reached = reached || has_refused;
      expect(outcome == (has_refused ? Outcome::refused : Outcome::done), "the first solver");
      grown = live - before;
    }
    expect(grown == 0, "no leak at the first use, call " + std::to_string(k));
    if (!reached) break;
    most = k;
  }
  expect(most >= 3, "the first solver needs memory");
}

// ---- one problem -------------------------------------------------------------------------------

struct Solve {
  const TransportProblem& problem;
  const TransportOptions& options;
  TransportSolver solver;
  TransportResult result;

  Solve(const TransportProblem& what, const TransportOptions& how, bool again = false)
      : problem(what), options(how) {
    if (again) run();
  }
  void run() { solver.solve(problem, options, &result); }
  Vector numbers() const {
    Vector all = {static_cast<double>(result.status),
                  result.cost,
                  result.left_over,
                  result.lower_bound,
                  static_cast<double>(result.blocked_source),
                  static_cast<double>(result.pivots)};
    for (const TransportArc& arc : result.arcs)
      for (const double x :
           {static_cast<double>(arc.source), static_cast<double>(arc.target), arc.mass})
        all.push_back(x);
    all.insert(all.end(), result.u.begin(), result.u.end());
    all.insert(all.end(), result.v.begin(), result.v.end());
    return all;
  }
};

void sweep_solve(const std::string& name, const TransportProblem& problem,
                 const TransportOptions& options) {
  sweep(name, [&] { return Solve(problem, options); });
  sweep(name + ", again", [&] { return Solve(problem, options, true); });
}

void check_problem(const std::string& what, const Instance& instance, bool fits_inside = false) {
  const std::string name = what + " " + instance.name;
  TransportOptions all;
  all.plan = all.proof = true;
  sweep_solve(name + ", proof", instance.problem, all);
  if (!fits_inside) sweep_solve(name, instance.problem, TransportOptions{});
}

void check_solves() {
  const auto real = Data::real;
  check_problem("inside", Instance(4, 5, 2, Ground::matrix, real, Unequal::error), true);
  for (const std::size_t n : {30U, 65U, 140U})
    for (const Ground kind : {Ground::matrix, Ground::euclidean}) {
      check_problem("plain", Instance(n, n + 1, 2, kind, real, Unequal::error));
      check_problem("partial", Instance(n, 70, 2, kind, Data::sparse, Unequal::partial));
      check_problem("equal", Instance(n, n, 2, kind, Data::equal, Unequal::normalize));
      check_problem("wide", Instance(n, n, 3, kind, Data::wide, Unequal::normalize));
    }
  check_problem("line", Instance(300, 300, 1, Ground::manhattan, real, Unequal::normalize));
  check_problem("flat", Instance(1500, 7, 2, Ground::matrix, real, Unequal::normalize));
  check_problem("large", Instance(420, 400, 2, Ground::squared, real, Unequal::normalize));

  Instance shared(200, 200, 2, Ground::euclidean, real, Unequal::normalize);
  shared.problem.ground.y = shared.problem.ground.x;
  shared.problem.ground.same_points = true;
  check_problem("common mass", shared);

  Instance forbidden(60, 60, 2, Ground::matrix, real, Unequal::error);
  for (std::size_t j = 0; j < 60; ++j) forbidden.costs[7 * 60 + j] = INFINITY;
  check_problem("infeasible", forbidden);
  forbidden.costs[5] = NAN;
  check_problem("a cost is NaN", forbidden);

  const Instance stopped(80, 80, 2, Ground::euclidean, real, Unequal::error);
  TransportOptions few;
  few.plan = few.proof = few.steps = true;
  few.max_pivots = 5;
  sweep_solve("stopped", stopped.problem, few);

  // So many that costs are computed again whenever they are looked at.
  const Instance many(2100, 2050, 2, Ground::squared, real, Unequal::normalize);
  few.max_pivots = 1;
  few.proof = few.plan = false;
  sweep("recomputed", [&] { return Solve(many.problem, few); });
}

// ---- many pairs --------------------------------------------------------------------------------

enum class Kind { cdist, pdist, knn };

struct Pairs {
  const TransportBatch& batch;
  Kind kind;
  std::size_t threads, nearest;
  Vector distances;
  std::vector<std::int64_t> indices;
  BatchResult result;

  Pairs(const TransportBatch& what, Kind which, std::size_t on)
      : batch(what), kind(which), threads(on), nearest(which == Kind::knn ? 3 : batch.b.size) {
    const std::size_t n = batch.a.size;
    distances.resize(kind == Kind::pdist ? n * (n - 1) / 2 : n * nearest);
    indices.resize(kind == Kind::knn ? n * nearest : 0);
  }
  void run() {
    double* out = distances.data();
    result = kind == Kind::cdist ? transport_cdist(batch, threads, Cancel{}, out)
             : kind == Kind::pdist
                 ? transport_pdist(batch, threads, Cancel{}, out)
                 : transport_knn(batch, nearest, threads, Cancel{}, out, indices.data());
  }
  Vector numbers() const {
    Vector all = distances;
    all.push_back(static_cast<double>(result.status));
    for (const std::int64_t index : indices) all.push_back(static_cast<double>(index));
    return all;
  }
};

void check_batches() {
  const std::size_t rows = 15, bins = 40;
  Instance shared(bins, bins, 2, Ground::euclidean, Data::real, Unequal::normalize);
  Vector masses(rows * bins), points(rows * bins * 2);
  for (double& mass : masses) mass = uniform();
  for (double& x : points) x = uniform();
  std::vector<Signature> items(rows), placed(rows);
  for (std::size_t r = 0; r < rows; ++r) {
    items[r].masses = placed[r].masses = {masses.data() + r * bins, bins};
    placed[r].points = points.data() + r * bins * 2;
  }
  Instance matrix(bins, bins, 2, Ground::matrix, Data::real, Unequal::normalize);
  TransportBatch batch;
  batch.rule.rule = MassRule::normalize;
  for (const std::size_t threads : {1U, 3U})
    for (const Kind kind : {Kind::cdist, Kind::pdist, Kind::knn}) {
      const std::string name = "pairs " + std::to_string(static_cast<int>(kind)) + ", threads " +
                               std::to_string(threads);
      batch.a = batch.b = {items.data(), rows};
      batch.ground = matrix.problem.ground;
      sweep(name + ", matrix", [&] { return Pairs(batch, kind, threads); });
      batch.ground = shared.problem.ground;
      batch.a = batch.b = {placed.data(), rows};
      sweep(name + ", signatures", [&] { return Pairs(batch, kind, threads); });
    }
}

// ---- what they stand on ------------------------------------------------------------------------

struct Distances {
  const GroundDistance& ground;
  std::size_t n, m;
  Vector out = Vector(n * m);
  bool done = false;

  void run() { done = fill_distances(ground, n, m, Cancel{}, out.data()); }
  Vector numbers() const {
    Vector all = out;
    all.push_back(done);
    return all;
  }
};

struct Metric {
  MatrixView<double> matrix;
  Metricity answer = Metricity::cancelled;

  void run() { answer = is_metric(matrix, Cancel{}); }
  Vector numbers() const { return {static_cast<double>(answer)}; }
};

void check_ground_distances() {
  const Instance points(90, 80, 3, Ground::euclidean, Data::real, Unequal::error);
  sweep("distances", [&] { return Distances{points.problem.ground, 90, 80}; });
  Vector line(90 * 90);
  for (std::size_t i = 0; i < 90; ++i)
    for (std::size_t j = 0; j < 90; ++j)
      line[i * 90 + j] = std::fabs(static_cast<double>(i) - static_cast<double>(j));
  sweep("metric", [&] { return Metric{{line.data(), 90, 90, 90}}; });
}

// ---- codes -------------------------------------------------------------------------------------

// Makes, arranges and searches the codes of some rows.
struct Coded {
  static constexpr std::size_t kRows = 9000, kBins = 32, kQueries = 3, kNearest = 5;

  const Vector& masses;
  Wasserstein1d metric{kBins, nullptr, 1.0, 1.0, 0.0};
  std::vector<std::uint8_t> raw = std::vector<std::uint8_t>(kRows * kRawBytes);
  std::vector<std::uint8_t> tree = std::vector<std::uint8_t>(CodeTree<std::uint8_t>::bytes(kRows));
  Vector distances = Vector(kQueries * kNearest);
  std::vector<std::int64_t> rows = std::vector<std::int64_t>(kQueries * kNearest);
  std::vector<Neighbor> near;

  explicit Coded(const Vector& all) : masses(all) {}
  MassMatrix first(std::size_t n) const {
    return {MassMatrix::Type::f64, masses.data(), n, kBins, kBins};
  }
  void run() {
    const MassMatrix all = first(kRows);
    encode_rows(metric, all, 2, Cancel{}, raw.data(), raw.data() + kRows * kCodeBytes);
    arrange_codes(raw.data(), kRows, 2, Cancel{}, tree.data());
    const std::vector<CodedRows> parts{{all, tree.data(), nullptr, true},
                                       {all, raw.data(), nullptr, false}};
    nearest_coded(metric, first(kQueries), parts, kNearest, INFINITY, 2, Cancel{}, distances.data(),
                  rows.data());
    near.clear();
    within_coded(metric, first(1), parts, distances[kNearest - 1], 2, Cancel{}, &near);
  }
  Vector numbers() const {
    Vector all = distances;
    for (const std::int64_t row : rows) all.push_back(static_cast<double>(row));
    for (const Neighbor& one : near) all.push_back(static_cast<double>(one.index));
    for (const std::uint8_t byte : tree) all.push_back(byte);
    return all;
  }
};

void check_codes() {
  Vector masses(Coded::kRows * Coded::kBins);
  for (std::size_t i = 0; i < masses.size(); ++i)
    masses[i] = static_cast<double>(below(1 + (i * i / 64) % 97) + 1);
  sweep("codes", [&] { return Coded(masses); });
}

// ---- threads -----------------------------------------------------------------------------------

// The helping thread has no memory; the caller, which waits for that, hears of it.
void check_worker() {
  const std::thread::id caller = std::this_thread::get_id();
  std::atomic<bool> thrown{false};
  bool heard = false;
  try {
    parallel_for(2, 1, 2, Cancel{}, [&](std::size_t, std::size_t) {
      if (std::this_thread::get_id() != caller) {
        thrown = true;
        throw std::bad_alloc();
      }
      while (!thrown) std::this_thread::yield();
    });
  } catch (const std::bad_alloc&) {
    heard = true;
  }
  expect(heard, "bad_alloc of a worker arrives");
}

}  // namespace

int main(int argc, char** argv) {
  return run_checks(argc, argv, [] {
    check_first_use();
    check_solves();
    check_batches();
    check_ground_distances();
    check_codes();
    check_worker();
    expect(all_refused > 400, "allocations are refused");
    expect(wrong_deletes == 0, "deleted as allocated");
  });
}
