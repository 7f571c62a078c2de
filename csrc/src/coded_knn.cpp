#include "coded_knn.hpp"

#include <algorithm>
#include <atomic>
#include <limits>
#include <mutex>
#include <vector>

#include "imgsim/cdf_codes.hpp"
#include "imgsim/top_k.hpp"
#include "kernels/kernel_table.hpp"

namespace imgsim {
namespace {

constexpr std::size_t kBlock = 4096;    // rows whose codes stay in the cache
constexpr std::size_t kSampled = 2048;  // rows that give the first threshold
constexpr std::size_t kManyOf = 8;  // a block of which one in so many is near is done as a whole
constexpr double kNanosecondsPerPiece = 2e6;  // a cancel is noticed after at most a few pieces
constexpr double kInfinity = std::numeric_limits<double>::infinity();

struct Codes {
  explicit Codes(std::size_t rows) : bytes(rows * kCode), lost(rows) {}

  const std::uint8_t* of(std::size_t row) const { return bytes.data() + row * kCode; }

  void take(const CdfCoder& coder, const CdfMatrix& sums, std::size_t first) {
    for (std::size_t r = 0; r < sums.rows(); ++r)
      lost[first + r] =
          coder.encode(sums.row(r), sums.total(r), bytes.data() + (first + r) * kCode);
  }

  std::vector<std::uint8_t> bytes, lost;
};

std::uint32_t differences(const std::uint8_t* a, const std::uint8_t* b) {
  std::uint32_t sum = 0;
  for (std::size_t s = 0; s < kCode; ++s)
    sum += static_cast<std::uint32_t>(a[s] < b[s] ? b[s] - a[s] : a[s] - b[s]);
  return sum;
}

// False when cancelled. *bad_row: the first row that is no distribution.
bool encode(const CdfCoder& coder, const MassMatrix& database, std::size_t threads,
            const Cancel& cancel, Codes* codes, std::size_t* bad_row) {
  constexpr std::size_t kRows = 64;  // running sums that fit into the cache
  const double row_time = 30.0 + 0.8 * static_cast<double>(database.cols);
  const auto grain = static_cast<std::size_t>(kNanosecondsPerPiece / row_time / kRows) + 1;
  threads = useful_threads(threads, row_time * static_cast<double>(database.rows));
  std::mutex merging;
  return parallel_for((database.rows + kRows - 1) / kRows, grain, threads, cancel,
                      [&](std::size_t first, std::size_t last) {
                        CdfMatrix sums;
                        for (std::size_t piece = first; piece < last; ++piece) {
                          const std::size_t begin = piece * kRows;
                          const std::size_t end = std::min(begin + kRows, database.rows);
                          const std::size_t bad = sums.assign(database, begin, end);
                          if (bad != kNoBadRow) {
                            const std::lock_guard<std::mutex> hold(merging);
                            *bad_row = std::min(*bad_row, bad);
                            return;
                          }
                          codes->take(coder, sums, begin);
                        }
                      });
}

// Exact distances of single rows of the database.
class Exact {
 public:
  Exact(const Wasserstein1d& metric, const CdfMatrix& queries, const MassMatrix& database)
      : metric_(metric), queries_(queries), database_(database) {}

  // Infinity where the row has changed into none since it was checked.
  double distance(std::size_t query, std::size_t row) {
    if (row - begin_ < block_.rows()) return metric_.between(queries_, query, block_, row - begin_);
    if (one_.assign(database_, row, row + 1) != kNoBadRow) return kInfinity;
    return metric_.between(queries_, query, one_, 0);
  }

  // Rows [begin, end) will be asked for often, until the next block.
  void prepare(std::size_t begin, std::size_t end) {
    if (begin_ == begin && block_.rows() == end - begin) return;
    if (block_.assign(database_, begin, end) != kNoBadRow) return forget();
    begin_ = begin;
  }
  void forget() { block_ = CdfMatrix(); }

 private:
  const Wasserstein1d& metric_;
  const CdfMatrix& queries_;
  const MassMatrix& database_;
  CdfMatrix one_, block_;
  std::size_t begin_ = 0;
};

// Distances that the k-th nearest of each query cannot exceed, as all threads know them.
class Thresholds {
 public:
  explicit Thresholds(std::size_t queries) : all_(queries) {
    for (auto& one : all_) one.store(kInfinity, std::memory_order_relaxed);
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

struct Search {
  const Wasserstein1d& metric;
  const CdfCoder& coder;
  const CdfMatrix& queries;
  const Codes& query_codes;
  const MassMatrix& database;
  const Codes& codes;
  const std::uint8_t* skip;
  std::size_t k;

  bool skipped(std::size_t row) const { return skip != nullptr && skip[row] != 0; }
};

// The k-th distance among the rows of a sample that look nearest.
double first_threshold(const Search& search, std::size_t query, Exact* exact) {
  struct Candidate {
    std::uint32_t differences;
    std::size_t row;
  };
  std::vector<Candidate> sample;
  const std::size_t rows = search.database.rows;
  const std::size_t step = std::max<std::size_t>(1, rows / std::max(kSampled, 4 * search.k));
  for (std::size_t r = 0; r < rows; r += step)
    if (!search.skipped(r))
      sample.push_back({differences(search.codes.of(r), search.query_codes.of(query)), r});
  if (sample.size() < search.k) return kInfinity;
  const auto kth = sample.begin() + static_cast<std::ptrdiff_t>(search.k - 1);
  std::nth_element(sample.begin(), kth, sample.end(), [](const Candidate& a, const Candidate& b) {
    return a.differences < b.differences;
  });
  double threshold = 0.0;
  for (std::size_t i = 0; i < search.k; ++i)
    threshold = std::max(threshold, exact->distance(query, sample[i].row));
  return threshold;
}

// One thread's part.
class Scan {
 public:
  Scan(const Search& search, Thresholds* thresholds)
      : search_(search),
        thresholds_(thresholds),
        exact_(search.metric, search.queries, search.database),
        best_(search.queries.rows(), TopK(search.k)),
        near_(kBlock) {}

  void block(std::size_t begin, std::size_t end) {
    exact_.forget();
    for (std::size_t q = 0; q < best_.size(); ++q) {
      const std::uint32_t lost = search_.query_codes.lost[q] + search_.coder.kMostLost;
      const std::size_t n =
          kernels().near_codes(search_.codes.of(begin), end - begin, search_.query_codes.of(q),
                               search_.coder.limit(threshold(q), lost), near_.data());
      if (n > (end - begin) / kManyOf) exact_.prepare(begin, end);
      for (std::size_t i = 0; i < n; ++i) look_at(q, begin + near_[i]);
    }
  }

  std::vector<TopK>& best() { return best_; }

 private:
  double threshold(std::size_t query) const {
    return std::min(best_[query].threshold(), thresholds_->of(query));
  }

  void look_at(std::size_t query, std::size_t row) {
    if (search_.skipped(row)) return;
    const std::uint32_t lost = search_.query_codes.lost[query] + search_.codes.lost[row];
    const double bound = search_.coder.lower_bound(
        differences(search_.codes.of(row), search_.query_codes.of(query)), lost);
    if (bound > threshold(query)) return;
    best_[query].push(exact_.distance(query, row), static_cast<std::int64_t>(row));
    thresholds_->lower(query, best_[query].threshold());
  }

  const Search& search_;
  Thresholds* const thresholds_;
  Exact exact_;
  std::vector<TopK> best_;
  std::vector<std::uint32_t> near_;
};

// False when cancelled.
bool scan(const Search& search, std::size_t threads, const Cancel& cancel,
          std::vector<TopK>* best) {
  const std::size_t rows = search.database.rows, queries = search.queries.rows();
  Thresholds thresholds(queries);
  const double first_time = 2.0 * kSampled + 500.0 * static_cast<double>(search.k);
  const auto many = static_cast<std::size_t>(kNanosecondsPerPiece / first_time) + 1;
  if (!parallel_for(queries, many, threads, cancel, [&](std::size_t begin, std::size_t end) {
        Exact exact(search.metric, search.queries, search.database);
        for (std::size_t q = begin; q < end; ++q)
          thresholds.lower(q, first_threshold(search, q, &exact));
      }))
    return false;
  const std::size_t pieces = (rows + kBlock - 1) / kBlock;
  const double block_time = 2.0 * static_cast<double>(kBlock * queries);
  const auto grain = static_cast<std::size_t>(
      std::clamp(kNanosecondsPerPiece / block_time, 1.0, static_cast<double>(pieces)));
  threads = useful_threads(threads, block_time * static_cast<double>(pieces));
  std::mutex merging;
  // What is merged when does not matter, because the order by (distance, index) is total.
  return parallel_for(pieces, grain, threads, cancel, [&](std::size_t first, std::size_t last) {
    Scan part(search, &thresholds);
    for (std::size_t piece = first; piece < last; ++piece)
      part.block(piece * kBlock, std::min((piece + 1) * kBlock, rows));
    const std::lock_guard<std::mutex> hold(merging);
    for (std::size_t q = 0; q < best->size(); ++q) (*best)[q].merge(part.best()[q]);
  });
}

}  // namespace

bool codes_pay(const Wasserstein1d& metric, std::size_t queries, const MassMatrix& database,
               std::size_t k) {
  constexpr std::size_t kFewestQueries = 8, kFewestRows = 2048, kFewestBins = 32;
  return metric.is_area() && metric.bins() >= kFewestBins && queries >= kFewestQueries &&
         database.rows >= kFewestRows &&
         database.rows < std::numeric_limits<std::uint32_t>::max() && k <= database.rows / 64 &&
         CdfCoder(metric).is_useful();
}

KnnResult coded_knn(const Wasserstein1d& metric, const MassMatrix& queries,
                    const MassMatrix& database, const std::uint8_t* skip, std::size_t k,
                    std::size_t threads, const Cancel& cancel, double* distances,
                    std::int64_t* indices) {
  constexpr std::size_t kQueriesAtOnce = 4096;
  KnnResult result;
  const CdfCoder coder(metric);
  Codes codes(database.rows);
  result.cancelled = !encode(coder, database, threads, cancel, &codes, &result.bad_row);
  if (result.cancelled) return result;
  CdfMatrix sums;
  for (std::size_t first = 0; first < queries.rows; first += kQueriesAtOnce) {
    result.bad_query = sums.assign(queries, first, std::min(first + kQueriesAtOnce, queries.rows));
    if (result.bad_query != kNoBadRow || result.bad_row != kNoBadRow) return result;
    Codes query_codes(sums.rows());
    query_codes.take(coder, sums, 0);
    const Search search{metric, coder, sums, query_codes, database, codes, skip, k};
    std::vector<TopK> best(sums.rows(), TopK(k));
    result.cancelled = !scan(search, threads, cancel, &best);
    if (result.cancelled) return result;
    for (std::size_t q = 0; q < best.size(); ++q) {
      std::vector<Neighbor> sorted = best[q].take_sorted();
      sorted.resize(k, {kInfinity, -1});  // fewer: rows have changed, or most are left out
      for (std::size_t i = 0; i < sorted.size(); ++i) {
        distances[(first + q) * k + i] = sorted[i].distance;
        indices[(first + q) * k + i] = sorted[i].index;
      }
    }
  }
  return result;
}

}  // namespace imgsim
