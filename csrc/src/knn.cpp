#include "imgsim/knn.hpp"

#include <algorithm>
#include <memory>
#include <mutex>
#include <vector>

#include "imgsim/coded_search.hpp"
#include "imgsim/top_k.hpp"
#include "kernels/kernel_table.hpp"

namespace imgsim {
namespace {

constexpr double kNanosecondsPerPiece = 2e6;  // a cancel is noticed after at most a few pieces

// Rows whose running sums fill about half a second-level cache, fewer where each is long work.
std::size_t rows_per_block(std::size_t bins, double nanoseconds_per_row) {
  const auto fitting = static_cast<double>(std::clamp<std::size_t>(65536 / bins, 8, 4096));
  return static_cast<std::size_t>(
      std::clamp(kNanosecondsPerPiece / nanoseconds_per_row, 1.0, fitting));
}

// Distances looked at together: once k are found, few get in.
constexpr std::size_t kGlance = 16;

bool none_below(const double* distances, double threshold) {
  bool any = false;
  for (std::size_t i = 0; i < kGlance; ++i) any |= distances[i] <= threshold;
  return !any;
}

// One thread's part: a range of database rows against all queries.
class Scan {
 public:
  Scan(const Wasserstein1d& metric, const CdfMatrix& queries, const MassMatrix& database,
       const std::uint8_t* skip, std::size_t k)
      : metric_(metric),
        queries_(queries),
        database_(database),
        skip_(skip),
        best_(queries.rows(), TopK(k)) {}

  // Returns the first bad row of the block [begin, end), or kNoBadRow.
  std::size_t block(std::size_t begin, std::size_t end) {
    if (capacity_ < end - begin) {
      distances_.reset(new double[end - begin]);
      capacity_ = end - begin;
    }
    std::size_t done = 0;
    const bool is_short = metric_.is_plain() && database_.type == MassMatrix::Type::f64 &&
                          database_.cols <= kLanes && database_.stride == database_.cols &&
                          queries_.rows() == 1;
    if (is_short) done = short_rows(begin, end);
    if (begin + done == end) return kNoBadRow;
    const std::size_t bad = sums_.assign(database_, begin + done, end);
    if (bad != kNoBadRow) return bad;
    for (std::size_t q = 0; q < queries_.rows(); ++q) {
      metric_.one_to_many(queries_, q, sums_, 0, sums_.rows(), distances_.get());
      keep(q, begin + done, sums_.rows());
    }
    return kNoBadRow;
  }

  std::vector<TopK>& best() { return best_; }

 private:
  // Few bins, one query: sums and distances in one pass. Leaves what it cannot do to the caller.
  std::size_t short_rows(std::size_t begin, std::size_t end) {
    const auto* rows = static_cast<const double*>(database_.data) + begin * database_.stride;
    const std::size_t done = kernels().w1_short_rows(queries_.row(0), queries_.total(0), rows,
                                                     end - begin, database_.cols, distances_.get());
    const double factor = metric_.factor();
    if (factor != 1.0)
      for (std::size_t r = 0; r < done; ++r) distances_[r] *= factor;
    keep(0, begin, done);
    return done;
  }

  void keep(std::size_t query, std::size_t first_row, std::size_t n) {
    TopK& best = best_[query];
    double threshold = best.threshold();
    for (std::size_t r = 0; r < n;) {
      if (n - r >= kGlance && none_below(distances_.get() + r, threshold)) {
        r += kGlance;
        continue;
      }
      const std::size_t end = std::min(r + kGlance, n);
      for (; r < end; ++r) {
        if (distances_[r] > threshold) continue;
        if (skip_ != nullptr && skip_[first_row + r] != 0) continue;
        best.push(distances_[r], static_cast<std::int64_t>(first_row + r));
        threshold = best.threshold();
      }
    }
  }

  const Wasserstein1d& metric_;
  const CdfMatrix& queries_;
  const MassMatrix& database_;
  const std::uint8_t* skip_;
  std::vector<TopK> best_;
  CdfMatrix sums_;
  std::unique_ptr<double[]> distances_;
  std::size_t capacity_ = 0;
};

// The queries [first, first + sums.rows()) against the whole database.
void scan_database(const Wasserstein1d& metric, const CdfMatrix& sums, const MassMatrix& database,
                   const std::uint8_t* skip, std::size_t k, std::size_t threads,
                   const Cancel& cancel, KnnResult& result, double* distances,
                   std::int64_t* indices) {
  const double per_row = static_cast<double>(sums.rows()) * metric.nanoseconds_per_pair() +
                         static_cast<double>(database.cols);
  const std::size_t block = rows_per_block(database.cols, per_row);
  const std::size_t pieces = (database.rows + block - 1) / block;
  const auto grain = static_cast<std::size_t>(
      std::clamp(kNanosecondsPerPiece / (per_row * static_cast<double>(block)), 1.0,
                 static_cast<double>(pieces)));
  threads = useful_threads(threads, per_row * static_cast<double>(database.rows));
  std::vector<TopK> best(sums.rows(), TopK(k));
  std::mutex merging;
  // Each range has its own lists, merged at its end: what is merged when does not matter, because
  // the order by (distance, index) is total.
  result.cancelled =
      !parallel_for(pieces, grain, threads, cancel, [&](std::size_t first, std::size_t last) {
        Scan scan(metric, sums, database, skip, k);
        std::size_t bad = kNoBadRow;
        for (std::size_t piece = first; piece < last && bad == kNoBadRow; ++piece)
          bad = scan.block(piece * block, std::min((piece + 1) * block, database.rows));
        const std::lock_guard<std::mutex> hold(merging);
        if (bad != kNoBadRow) result.bad_row = std::min(result.bad_row, bad);
        if (last - first == pieces) return best.swap(scan.best());  // the only range
        for (std::size_t q = 0; q < best.size(); ++q) best[q].merge(scan.best()[q]);
      });
  if (result.cancelled || result.bad_row != kNoBadRow) return;
  for (std::size_t q = 0; q < best.size(); ++q) {
    const std::vector<Neighbor> sorted = best[q].take_sorted();
    for (std::size_t i = 0; i < sorted.size(); ++i) {
      distances[q * k + i] = sorted[i].distance;
      indices[q * k + i] = sorted[i].index;
    }
  }
}

}  // namespace

KnnResult knn(const Wasserstein1d& metric, const MassMatrix& queries, const MassMatrix& database,
              const std::uint8_t* skip, std::size_t k, std::size_t threads, const Cancel& cancel,
              double* distances, std::int64_t* indices) {
  if (codes_pay(metric, queries, database, k))
    return knn_by_codes(metric, queries, database, skip, k, threads, cancel, distances, indices);
  KnnResult result;
  // So many queries at a time that one database row is a short piece of work.
  const std::size_t tile = static_cast<std::size_t>(
      std::max(1.0, kNanosecondsPerPiece / 2 / metric.nanoseconds_per_pair()));
  CdfMatrix sums;
  for (std::size_t first = 0; first < queries.rows; first += tile) {
    result.bad_query = sums.assign(queries, first, std::min(first + tile, queries.rows));
    if (result.bad_query != kNoBadRow) return result;
    if (database.rows == 0) continue;
    scan_database(metric, sums, database, skip, k, threads, cancel, result, distances + first * k,
                  indices + first * k);
    if (result.cancelled || result.bad_row != kNoBadRow) return result;
  }
  return result;
}

}  // namespace imgsim
