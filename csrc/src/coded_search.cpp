#include "imgsim/coded_search.hpp"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <limits>
#include <memory>
#include <mutex>
#include <thread>

#include "kernels/kernel_table.hpp"

namespace imgsim {
namespace {

static_assert(kHalfCode == kCode);

// Rows of a block: of one query what is read in one go, of several what stays in the first-level
// cache while they share it.
constexpr std::size_t kBlock = 16384, kSharedBlock = 2048;
constexpr double kNanosecondsPerPiece = 2e6;  // a cancel is noticed after at most a few pieces
constexpr double kInfinity = std::numeric_limits<double>::infinity();

inline void prefetch(const std::uint8_t* address) {
#if defined(__GNUC__)
  __builtin_prefetch(address);
#else
  (void)address;
#endif
}

// A cancel that is also noticed within a piece: where no bound helps, one may take seconds.
class Interrupt {
 public:
  explicit Interrupt(const Cancel& cancel) : cancel_(cancel) {}
  Interrupt(const Interrupt&) = delete;
  Interrupt& operator=(const Interrupt&) = delete;

  bool seen() const { return seen_.load(std::memory_order_relaxed); }
  // Asks, if this is the calling thread and it has not done so for a while.
  bool ask() {
    if (seen() || cancel_.poll == nullptr || std::this_thread::get_id() != caller_) return seen();
    const auto now = std::chrono::steady_clock::now();
    if (now - last_ < std::chrono::milliseconds(20)) return false;
    last_ = now;
    if (cancel_.poll(cancel_.context)) seen_.store(true, std::memory_order_relaxed);
    return seen();
  }
  // For parallel_for().
  Cancel as_cancel() {
    return {[](void* self) { return static_cast<Interrupt*>(self)->ask(); }, this};
  }

 private:
  const Cancel cancel_;
  const std::thread::id caller_ = std::this_thread::get_id();
  std::chrono::steady_clock::time_point last_ = std::chrono::steady_clock::now();
  std::atomic<bool> seen_{false};
};

// A row of the database: number `row` of a part.
struct Place {
  std::uint32_t part, row;
};

// The parts of a database, and the codes of each.
class Parts {
 public:
  // block: rows of a piece of work.
  Parts(const std::vector<CodedRows>& rows, std::size_t block) : rows_(rows), block_(block) {
    std::size_t first = 0;
    for (const CodedRows& part : rows) {
      first_.push_back(first);
      codes_.push_back(CodeArrays<const std::uint8_t>::in(part.codes, part.masses.rows));
      for (std::size_t begin = 0; begin < part.masses.rows; begin += block)
        blocks_.push_back(
            {static_cast<std::uint32_t>(first_.size() - 1), static_cast<std::uint32_t>(begin)});
      first += part.masses.rows;
    }
  }
  const CodeArrays<const std::uint8_t>& codes(std::size_t part) const { return codes_[part]; }
  const MassMatrix& masses(std::size_t part) const { return rows_[part].masses; }
  bool skipped(Place at) const {
    const std::uint8_t* skip = rows_[at.part].skip;
    return skip != nullptr && skip[at.row] != 0;
  }
  // Begins to read a row.
  void fetch(Place at) const {
    const MassMatrix& all = rows_[at.part].masses;
    const std::size_t size = all.type == MassMatrix::Type::f64 ? sizeof(double) : 4;
    const auto* row = static_cast<const std::uint8_t*>(all.data) + at.row * all.stride * size;
    prefetch(row);
    prefetch(row + all.cols * size / 2);
  }
  // Number in the whole database.
  std::size_t number(Place at) const { return first_[at.part] + at.row; }

  std::size_t blocks() const { return blocks_.size(); }
  std::size_t most_block_rows() const { return block_; }
  Place block(std::size_t i) const { return blocks_[i]; }
  std::size_t block_rows(std::size_t i) const {
    return std::min(block_, masses(blocks_[i].part).rows - blocks_[i].row);
  }

 private:
  const std::vector<CodedRows>& rows_;
  std::size_t block_;
  std::vector<std::size_t> first_;
  std::vector<CodeArrays<const std::uint8_t>> codes_;
  std::vector<Place> blocks_;
};

// Exact distances to single rows.
class Exact {
 public:
  Exact(const Wasserstein1d& metric, const CdfMatrix& queries, const Parts& parts)
      : metric_(metric), queries_(queries), parts_(parts) {}

  // Infinity where the row is no distribution: bad_row() remembers the first of these.
  double distance(std::size_t query, Place at) {
    ++count_;
    if (sums_.assign(parts_.masses(at.part), at.row, std::size_t{at.row} + 1) != kNoBadRow) {
      bad_row_ = std::min(bad_row_, parts_.number(at));
      return kInfinity;
    }
    return metric_.between(queries_, query, sums_, 0);
  }

  std::size_t bad_row() const { return bad_row_; }
  std::uint64_t count() const { return count_; }

 private:
  const Wasserstein1d& metric_;
  const CdfMatrix& queries_;
  const Parts& parts_;
  CdfMatrix sums_;
  std::size_t bad_row_ = kNoBadRow;
  std::uint64_t count_ = 0;
};

// Distances that the k-th nearest of each query cannot exceed, as all threads know them.
class Thresholds {
 public:
  Thresholds(std::size_t queries, double radius) : all_(queries) {
    for (auto& one : all_) one.store(radius, std::memory_order_relaxed);
  }
  double of(std::size_t query) const { return all_[query].load(std::memory_order_relaxed); }
  void lower(std::size_t query, double distance) {
    double before = of(query);
    while (distance < before && !all_[query].compare_exchange_weak(before, distance)) {
    }
  }

 private:
  std::vector<std::atomic<double>> all_;
};

// A row that codes have not ruled out, and a bound on its distance.
struct Candidate {
  double lower;
  Place at;
  friend bool operator<(const Candidate& x, const Candidate& y) { return x.lower < y.lower; }
};

struct Search {
  const Wasserstein1d& metric;
  const CdfCoder& coder;
  const CdfMatrix& queries;
  const std::vector<CdfAreas>& query_areas;
  CodeArrays<const std::uint8_t> query_codes;
  const Parts& parts;
  std::size_t k;

  double lower_bound(std::size_t query, Place at) const {
    const auto& codes = parts.codes(at.part);
    return coder.lower_bound(query_areas[query], codes.coarse_of(at.row), codes.fine_of(at.row),
                             codes.lost(at.row));
  }
  double upper_bound(std::size_t query, Place at) const {
    const auto& codes = parts.codes(at.part);
    return coder.upper_bound(query_areas[query], codes.coarse_of(at.row), codes.fine_of(at.row),
                             codes.lost(at.row), codes.spread(at.row));
  }
};

// What is left of some rows for one query. Kept short: from time to time the best are looked at,
// and what they rule out goes.
class Left {
 public:
  explicit Left(std::size_t k) : best_(k) {}

  std::size_t size() const { return candidates_.size(); }
  // So many more than after the last look that another one is worth its time.
  bool is_long() const { return candidates_.size() > long_; }
  void add(double lower, Place at) { candidates_.push_back({lower, at}); }
  TopK& best() { return best_; }

  // Codes alone: the k rows that look nearest cannot be farther than their upper bounds.
  void tighten(const Search& search, std::size_t query, Thresholds* thresholds) {
    long_ = 2 * candidates_.size() + kFew;
    if (candidates_.size() < search.k || search.k == 0) return;
    const auto kth = candidates_.begin() + static_cast<std::ptrdiff_t>(search.k - 1);
    std::nth_element(candidates_.begin(), kth, candidates_.end());
    double most = 0.0;
    for (std::size_t i = 0; i < search.k; ++i)
      most = std::max(most, search.upper_bound(query, candidates_[i].at));
    thresholds->lower(query, most);
    prune(thresholds->of(query));
    long_ = 2 * candidates_.size() + kFew;
  }

  // Looks at the k rows that seem nearest.
  void look(const Search& search, std::size_t query, Exact* exact, Thresholds* thresholds) {
    const std::size_t n = std::min(search.k, candidates_.size());
    std::nth_element(candidates_.begin(), candidates_.begin() + static_cast<std::ptrdiff_t>(n),
                     candidates_.end());
    for (std::size_t i = 0; i < n; ++i) search.parts.fetch(candidates_[i].at);
    for (std::size_t i = 0; i < n; ++i) push(search, query, candidates_[i].at, exact, thresholds);
    candidates_.erase(candidates_.begin(), candidates_.begin() + static_cast<std::ptrdiff_t>(n));
    prune(thresholds->of(query));
    long_ = candidates_.size() + kFew;
    has_looked_ = true;
  }
  bool has_looked() const { return has_looked_; }

  // Looks at all that could be near, nearest bound first.
  void finish(const Search& search, std::size_t query, Exact* exact, Thresholds* thresholds) {
    look(search, query, exact, thresholds);
    std::sort(candidates_.begin(), candidates_.end());
    constexpr std::size_t kAhead = 4;
    for (std::size_t i = 0; i < candidates_.size(); ++i) {
      if (candidates_[i].lower > thresholds->of(query)) break;
      if (i + kAhead < candidates_.size()) search.parts.fetch(candidates_[i + kAhead].at);
      push(search, query, candidates_[i].at, exact, thresholds);
    }
    candidates_.clear();
  }

  void merge(const Left& other) {
    best_.merge(other.best_);
    candidates_.insert(candidates_.end(), other.candidates_.begin(), other.candidates_.end());
  }

 private:
  void push(const Search& search, std::size_t query, Place at, Exact* exact,
            Thresholds* thresholds) {
    const double distance = exact->distance(query, at);
    if (distance > thresholds->of(query)) return;
    best_.push(distance, static_cast<std::int64_t>(search.parts.number(at)));
    thresholds->lower(query, best_.threshold());
  }
  void prune(double threshold) {
    candidates_.erase(
        std::remove_if(candidates_.begin(), candidates_.end(),
                       [threshold](const Candidate& one) { return one.lower > threshold; }),
        candidates_.end());
  }

  static constexpr std::size_t kFew = 128;

  TopK best_;
  std::vector<Candidate> candidates_;
  std::size_t long_ = kFew;
  bool has_looked_ = false;
};

// One thread's part of the rows, for all queries.
class Scan {
 public:
  Scan(const Search& search, Thresholds* thresholds, Interrupt* interrupt)
      : search_(search),
        thresholds_(thresholds),
        interrupt_(interrupt),
        exact_(search.metric, search.queries, search.parts),
        left_(search.queries.rows(), Left(search.k)),
        most_(std::clamp(kKeptInAll / left_.size(), 4 * search.k + 64, 4 * search.k + kKept)),
        near_(new std::uint32_t[search.parts.most_block_rows()]) {}

  void block(std::size_t number) {
    const Place begin = search_.parts.block(number);
    const std::size_t rows = search_.parts.block_rows(number);
    for (std::size_t q = 0; q < left_.size() && !interrupt_->seen(); ++q) {
      // Few rows at a time until there is something to compare with.
      std::size_t done = 0;
      while (done < rows && limit(q) == CdfCoder::kNoLimit) {
        const std::size_t some = std::min(kFewRows, rows - done);
        list(q, {begin.part, begin.row + static_cast<std::uint32_t>(done)}, some);
        take();
        done += some;
      }
      if (done < rows)
        list(q, {begin.part, begin.row + static_cast<std::uint32_t>(done)}, rows - done);
      if (listed_.size() >= kManyListed) take();
    }
    if (listed_.size() >= kTogether) take();
    seen_ += rows;
  }

  // To be called when there are no more blocks.
  std::vector<Left>& left() {
    take();
    return left_;
  }
  const Exact& exact() const { return exact_; }

 private:
  static constexpr std::size_t kKept = 4096, kKeptInAll = std::size_t{1} << 22;
  static constexpr std::size_t kFewRows = 512;
  static constexpr std::size_t kFewSeen = 16384;
  static constexpr std::size_t kTogether = 48;  // that wait for memory together
  static constexpr std::size_t kManyListed = 65536;

  struct Near {
    std::size_t query;
    Place at;
  };

  std::uint32_t limit(std::size_t query) const {
    return search_.coder.limit(thresholds_->of(query),
                               search_.query_codes.lost(query) + CdfCoder::kMostLost);
  }

  // Rows from `first` on whose coarse half is near; the rest of their codes is on its way.
  void list(std::size_t query, Place first, std::size_t rows) {
    const CodeArrays<const std::uint8_t>& codes = search_.parts.codes(first.part);
    const std::size_t n =
        kernels().near_codes(codes.coarse_of(first.row), rows, search_.query_codes.coarse_of(query),
                             limit(query), near_.get());
    for (std::size_t i = 0; i < n; ++i) {
      const Place at{first.part, first.row + near_[i]};
      prefetch(codes.fine_of(at.row));
      prefetch(&codes.lost(at.row));
      listed_.push_back({query, at});
    }
  }

  void take() {
    for (const Near& one : listed_) {
      if (search_.parts.skipped(one.at)) continue;
      const double lower = search_.lower_bound(one.query, one.at);
      if (lower > thresholds_->of(one.query)) continue;
      Left& left = left_[one.query];
      left.add(lower, one.at);
      if (left.is_long()) shorten(one.query, &left);
    }
    listed_.clear();
  }

  // A search of few rows looks at none before it has seen all; one of many looks early, so that
  // thresholds are good, and then again and again, because they get better.
  void shorten(std::size_t query, Left* left) {
    if (interrupt_->ask()) return;
    if (!left->has_looked()) left->tighten(search_, query, thresholds_);
    if (left->has_looked() || left->size() > most_ || seen_ >= kFewSeen)
      left->look(search_, query, &exact_, thresholds_);
    // Rows that all look alike: no bound helps.
    if (left->size() > most_) left->finish(search_, query, &exact_, thresholds_);
  }

  const Search& search_;
  Thresholds* const thresholds_;
  Interrupt* const interrupt_;
  Exact exact_;
  std::vector<Left> left_;
  std::size_t most_;
  std::unique_ptr<std::uint32_t[]> near_;
  std::vector<Near> listed_;
  std::size_t seen_ = 0;
};

void note(const Exact& exact, CodedResult* result) {
  result->looked_at += exact.count();
  result->bad_row = std::min(result->bad_row, exact.bad_row());
}

// Sets result->cancelled, looked_at and bad_row.
void search_rows(const Search& search, double radius, std::size_t threads, const Cancel& cancel,
                 std::vector<TopK>* best, CodedResult* result) {
  const std::size_t queries = search.queries.rows(), pieces = search.parts.blocks();
  Thresholds thresholds(queries, radius);
  const double block_time = 0.4 * static_cast<double>(search.parts.most_block_rows() * queries);
  const std::size_t scanning = useful_threads(threads, block_time * static_cast<double>(pieces));
  // Short enough that no thread waits long for the last piece of another.
  const double fair = static_cast<double>(pieces) / static_cast<double>(32 * scanning);
  const auto grain =
      static_cast<std::size_t>(std::max(1.0, std::min(kNanosecondsPerPiece / block_time, fair)));
  Interrupt interrupt(cancel);
  // A thread goes on with the lists of a piece that is done.
  std::vector<std::unique_ptr<Scan>> idle;
  std::mutex choosing;
  const auto scan = [&](std::size_t first, std::size_t last) {
    std::unique_ptr<Scan> part;
    {
      const std::lock_guard<std::mutex> hold(choosing);
      if (!idle.empty()) {
        part = std::move(idle.back());
        idle.pop_back();
      }
    }
    if (part == nullptr) part = std::make_unique<Scan>(search, &thresholds, &interrupt);
    for (std::size_t piece = first; piece < last; ++piece) part->block(piece);
    const std::lock_guard<std::mutex> hold(choosing);
    idle.push_back(std::move(part));
  };
  result->cancelled =
      !parallel_for(pieces, grain, scanning, interrupt.as_cancel(), scan) || interrupt.seen();
  if (result->cancelled) return;
  std::vector<Left> left(queries, Left(search.k));
  for (const auto& part : idle) {
    const std::vector<Left>& found = part->left();
    for (std::size_t q = 0; q < queries; ++q) left[q].merge(found[q]);
    note(part->exact(), result);
  }
  // What is merged when does not matter, because the order by (distance, index) is total.
  const double finish_time = 2e4 + 500.0 * static_cast<double>(search.k);
  const auto many = static_cast<std::size_t>(kNanosecondsPerPiece / finish_time) + 1;
  threads = useful_threads(threads, finish_time * static_cast<double>(queries));
  const auto finish = [&](std::size_t begin, std::size_t end) {
    Exact exact(search.metric, search.queries, search.parts);
    for (std::size_t q = begin; q < end && !interrupt.ask(); ++q) {
      thresholds.lower(q, left[q].best().threshold());
      left[q].finish(search, q, &exact, &thresholds);
      (*best)[q].merge(left[q].best());
    }
    const std::lock_guard<std::mutex> hold(choosing);
    note(exact, result);
  };
  result->cancelled =
      !parallel_for(queries, many, threads, interrupt.as_cancel(), finish) || interrupt.seen();
}

// The codes of queries.
struct QueryCodes {
  QueryCodes(const CdfCoder& coder, const CdfMatrix& sums) : bytes(sums.rows() * kCodeBytes) {
    const auto codes = CodeArrays<std::uint8_t>::in(bytes.data(), sums.rows());
    for (std::size_t r = 0; r < sums.rows(); ++r) {
      areas.push_back(coder.areas(sums.row(r), sums.total(r)));
      coder.encode(areas.back(), codes, r);
    }
  }
  CodeArrays<const std::uint8_t> arrays() const {
    return CodeArrays<const std::uint8_t>::in(bytes.data(), areas.size());
  }
  std::vector<std::uint8_t> bytes;
  std::vector<CdfAreas> areas;
};

}  // namespace

KnnResult encode_rows(const Wasserstein1d& metric, const MassMatrix& rows, std::size_t threads,
                      const Cancel& cancel, std::uint8_t* codes) {
  const auto arrays = CodeArrays<std::uint8_t>::in(codes, rows.rows);
  constexpr std::size_t kRows = 64;  // running sums that fit into the cache
  const CdfCoder coder(metric);
  const double row_time = 30.0 + 1.0 * static_cast<double>(rows.cols);
  const auto grain = static_cast<std::size_t>(kNanosecondsPerPiece / row_time / kRows) + 1;
  threads = useful_threads(threads, row_time * static_cast<double>(rows.rows));
  std::mutex merging;
  KnnResult result;
  result.cancelled = !parallel_for(
      (rows.rows + kRows - 1) / kRows, grain, threads, cancel,
      [&](std::size_t first, std::size_t last) {
        CdfMatrix sums;
        for (std::size_t piece = first; piece < last; ++piece) {
          const std::size_t begin = piece * kRows;
          const std::size_t bad = sums.assign(rows, begin, std::min(begin + kRows, rows.rows));
          if (bad != kNoBadRow) {
            const std::lock_guard<std::mutex> hold(merging);
            result.bad_row = std::min(result.bad_row, bad);
            return;
          }
          for (std::size_t r = 0; r < sums.rows(); ++r)
            coder.encode(coder.areas(sums.row(r), sums.total(r)), arrays, begin + r);
        }
      });
  return result;
}

CodedResult nearest_coded(const Wasserstein1d& metric, const MassMatrix& queries,
                          const std::vector<CodedRows>& parts, std::size_t k, double radius,
                          std::size_t threads, const Cancel& cancel, double* distances,
                          std::int64_t* indices) {
  constexpr std::size_t kQueriesAtOnce = 512, kFewQueries = 4;
  CodedResult result;
  const CdfCoder coder(metric);
  const Parts all(parts, queries.rows <= kFewQueries ? kBlock : kSharedBlock);
  CdfMatrix sums;
  for (std::size_t first = 0; first < queries.rows; first += kQueriesAtOnce) {
    result.bad_query = sums.assign(queries, first, std::min(first + kQueriesAtOnce, queries.rows));
    if (result.bad_query != kNoBadRow) return result;
    const QueryCodes codes(coder, sums);
    const Search search{metric, coder, sums, codes.areas, codes.arrays(), all, k};
    std::vector<TopK> best(sums.rows(), TopK(k));
    search_rows(search, radius, threads, cancel, &best, &result);
    if (result.cancelled || result.bad_row != kNoBadRow) return result;
    for (std::size_t q = 0; q < best.size(); ++q) {
      const std::vector<Neighbor> sorted = best[q].take_sorted();
      double* to_distances = distances + (first + q) * k;
      std::int64_t* to_indices = indices + (first + q) * k;
      for (std::size_t i = 0; i < k; ++i) {
        to_distances[i] = i < sorted.size() ? sorted[i].distance : kInfinity;
        to_indices[i] = i < sorted.size() ? sorted[i].index : -1;
      }
    }
  }
  return result;
}

CodedResult within_coded(const Wasserstein1d& metric, const MassMatrix& query,
                         const std::vector<CodedRows>& parts, double radius, std::size_t threads,
                         const Cancel& cancel, std::vector<Neighbor>* found) {
  CodedResult result;
  const CdfCoder coder(metric);
  const Parts all(parts, kBlock);
  CdfMatrix sums;
  result.bad_query = sums.assign(query, 0, 1);
  if (result.bad_query != kNoBadRow) return result;
  const QueryCodes codes(coder, sums);
  const Search search{metric, coder, sums, codes.areas, codes.arrays(), all, 0};
  const std::uint32_t limit = coder.limit(radius, codes.arrays().lost(0) + CdfCoder::kMostLost);
  std::mutex merging;
  constexpr std::size_t kGrain = 16;  // blocks
  const double time = 0.4 * static_cast<double>(all.blocks() * kBlock);
  Interrupt interrupt(cancel);
  result.cancelled =
      !parallel_for(all.blocks(), kGrain, useful_threads(threads, time), interrupt.as_cancel(),
                    [&](std::size_t first, std::size_t last) {
                      Exact exact(metric, sums, all);
                      std::vector<std::uint32_t> near(kBlock);
                      std::vector<Neighbor> part;
                      for (std::size_t piece = first; piece < last && !interrupt.ask(); ++piece) {
                        const Place block = all.block(piece);
                        const std::size_t count = kernels().near_codes(
                            all.codes(block.part).coarse_of(block.row), all.block_rows(piece),
                            codes.arrays().coarse, limit, near.data());
                        for (std::size_t i = 0; i < count; ++i) {
                          const Place at{block.part, block.row + near[i]};
                          if (all.skipped(at) || search.lower_bound(0, at) > radius) continue;
                          const double distance = exact.distance(0, at);
                          if (distance <= radius)
                            part.push_back({distance, static_cast<std::int64_t>(all.number(at))});
                        }
                      }
                      const std::lock_guard<std::mutex> hold(merging);
                      note(exact, &result);
                      found->insert(found->end(), part.begin(), part.end());
                    }) ||
      interrupt.seen();
  std::sort(found->begin(), found->end());
  return result;
}

bool codes_pay(const Wasserstein1d& metric, const MassMatrix& queries, const MassMatrix& database,
               std::size_t k) {
  constexpr std::size_t kFewestQueries = 20, kFewestRows = 2048, kFewestBins = 32;
  constexpr std::size_t kAsked = 4, kSampled = 2048;
  constexpr std::uint64_t kLookedAt = 16;  // times as dear as a row of a scan
  const bool could = metric.is_area() && metric.bins() >= kFewestBins &&
                     queries.rows >= kFewestQueries && database.rows >= kFewestRows &&
                     database.rows < std::numeric_limits<std::uint32_t>::max() &&
                     k <= database.rows / 64 && CdfCoder(metric).is_useful();
  if (!could) return false;
  // Where many rows look alike they would be looked at one by one: some queries and rows tell.
  const auto some = [](MassMatrix all, std::size_t n) {
    all.stride *= all.rows / n;
    all.rows = n;
    return all;
  };
  const MassMatrix asked = some(queries, kAsked);
  const MassMatrix sample = some(database, std::min(kSampled, database.rows / 8));
  std::vector<std::uint8_t> bytes(sample.rows * kCodeBytes);
  if (encode_rows(metric, sample, 1, Cancel{}, bytes.data()).bad_row != kNoBadRow) return true;
  k = std::max<std::size_t>(1, k * sample.rows / database.rows);
  std::vector<double> distances(kAsked * k);
  std::vector<std::int64_t> indices(kAsked * k);
  const CodedResult found = nearest_coded(metric, asked, {{sample, bytes.data(), nullptr}}, k,
                                          kInfinity, 1, Cancel{}, distances.data(), indices.data());
  return found.looked_at * kLookedAt <= kAsked * sample.rows;
}

KnnResult knn_by_codes(const Wasserstein1d& metric, const MassMatrix& queries,
                       const MassMatrix& database, const std::uint8_t* skip, std::size_t k,
                       std::size_t threads, const Cancel& cancel, double* distances,
                       std::int64_t* indices) {
  std::vector<std::uint8_t> bytes(database.rows * kCodeBytes);
  KnnResult result = encode_rows(metric, database, threads, cancel, bytes.data());
  if (result.cancelled) return result;
  if (result.bad_row != kNoBadRow) {  // of the queries they are named first
    CdfMatrix sums;
    for (std::size_t q = 0; q < queries.rows && result.bad_query == kNoBadRow; ++q)
      result.bad_query = sums.assign(queries, q, q + 1);
    return result;
  }
  const std::vector<CodedRows> parts{{database, bytes.data(), skip}};
  return nearest_coded(metric, queries, parts, k, kInfinity, threads, cancel, distances, indices);
}

}  // namespace imgsim
