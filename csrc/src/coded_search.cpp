#include "imgsim/coded_search.hpp"

#include <algorithm>
#include <atomic>
#include <limits>
#include <memory>
#include <mutex>
#include <utility>

#include "coded/scan.hpp"

namespace imgsim {
namespace {

using namespace coded;

// Rows of a block without a tree: of one query what is read in one go, of several what stays in the
// first-level cache while they share it.
constexpr std::size_t kBlock = 16384, kSharedBlock = 2048;
// To scan a row's code, and where boxes rule most out.
constexpr double kNanosecondsPerRow = 0.4, kNanosecondsPerTreeRow = 0.02;
// And of a leaf that they do not rule out, or more.
constexpr double kNanosecondsPerLeaf = 300;
constexpr double kNanosecondsPerPiece = 2e6;  // a cancel is noticed after at most a few pieces
constexpr double kInfinity = std::numeric_limits<double>::infinity();

double scan_time(const Parts& parts) {
  return kNanosecondsPerRow * static_cast<double>(parts.rows_in_order()) +
         kNanosecondsPerTreeRow * static_cast<double>(parts.rows_in_trees());
}

// To look at what is left of one query.
double finish_time(std::size_t k) {
  return 2e4 + 500.0 * static_cast<double>(k);
}

// To find what is within some parts of a unit, or longer.
double range_time(const Parts& parts, const CoarseParts& query, std::uint32_t limit) {
  constexpr double kNanosecondsPerGroup = 8e3;  // to read its leaves
  std::size_t groups = 0;
  for (std::size_t piece = 0; piece < parts.tree_blocks(); ++piece) {
    const Place begin = parts.block(piece);
    all_near_groups(parts.tree(begin.part), parts.masses(begin.part).rows, begin.at,
                    begin.at + parts.block_rows(piece), query, limit,
                    [&](std::size_t, std::uint32_t) { ++groups; });
  }
  return kNanosecondsPerRow * static_cast<double>(parts.rows_in_order()) +
         kNanosecondsPerGroup * static_cast<double>(groups);
}

// Scans of threads, which go on with the lists of a piece that is done.
class Scans {
 public:
  Scans(const Search& search, Found* found, SharedInterrupt* interrupt)
      : search_(search), found_(found), interrupt_(interrupt) {}

  // work(&scan) with one that no other thread has.
  template <class Work>
  void with_one(const Work& work) {
    std::unique_ptr<Scan> one;
    {
      const std::lock_guard<std::mutex> hold(choosing_);
      if (!idle_.empty()) {
        one = std::move(idle_.back());
        idle_.pop_back();
      }
    }
    if (one == nullptr) one = std::make_unique<Scan>(search_, found_, interrupt_);
    work(one.get());
    const std::lock_guard<std::mutex> hold(choosing_);
    idle_.push_back(std::move(one));
  }
  // When all are done.
  const std::vector<std::unique_ptr<Scan>>& all() const { return idle_; }

 private:
  const Search& search_;
  Found* const found_;
  SharedInterrupt* const interrupt_;
  std::mutex choosing_;
  std::vector<std::unique_ptr<Scan>> idle_;
};

// Threads share the search of all trees, for one query after the other. Few of them, until it is
// known how much is to be read. False: cancelled.
bool scan_trees(const Search& search, std::size_t threads, std::size_t few,
                SharedInterrupt* interrupt, Scans* scans) {
  const std::size_t queries = search.queries.rows();
  bool done = true;
  for (std::size_t q = 0; q < queries && done; ++q) {
    LeafOrder order(search.parts, search.query_parts[q], threads);
    const auto share = [&](std::size_t sharing, const auto& work) {
      return parallel_for(sharing, 1, sharing, interrupt->as_cancel(),
                          [&](std::size_t its, std::size_t) {
                            scans->with_one([&](Scan* scan) { work(scan, its); });
                          }) &&
             !interrupt->seen();
    };
    std::size_t sharing = few;
    if (few < threads) {
      done = share(few, [&](Scan* scan, std::size_t its) { scan->list_leaves(q, its, &order); });
      const double time = kNanosecondsPerLeaf * static_cast<double>(order.leaves());
      sharing = std::max(few, useful_threads(threads, time));
    }
    done =
        done && share(sharing, [&](Scan* scan, std::size_t its) { scan->trees(q, its, &order); });
  }
  return done;
}

// Threads share the rows. Sets result->cancelled, looked_at, scanned, bad_row and bad_part.
void search_rows(const Search& search, std::size_t threads, SharedInterrupt* interrupt,
                 Found* found, CodedResult* result) {
  const Parts& parts = search.parts;
  const std::size_t queries = search.queries.rows(), trees = parts.tree_blocks();
  Scans scans(search, found, interrupt);
  const double time = static_cast<double>(queries) * (scan_time(parts) + finish_time(search.k));
  const std::size_t scanning = useful_threads(threads, time);
  result->cancelled = trees > 0 && !scan_trees(search, threads, scanning, interrupt, &scans);
  if (result->cancelled) return;
  // Short enough that no thread waits long for the last piece of another, also where all that is
  // near lies in one.
  const std::size_t pieces = parts.blocks() - trees, fair = pieces / (256 * scanning);
  const auto soon = static_cast<std::size_t>(
      kNanosecondsPerPiece / (kNanosecondsPerRow * static_cast<double>(parts.most_block_rows()) *
                              static_cast<double>(queries)));
  const std::size_t grain = std::max<std::size_t>(1, std::min(soon, fair));
  std::atomic<std::size_t> begun{0};
  const auto scan = [&](std::size_t first, std::size_t last) {
    begun += last - first;
    scans.with_one([&](Scan* one) {
      for (std::size_t piece = first; piece < last; ++piece) one->block(trees + piece);
      // Threads look at what they have left side by side; what they do not is looked at below.
      if (begun == pieces) one->finish();
    });
  };
  result->cancelled =
      !parallel_for(pieces, grain, scanning, interrupt->as_cancel(), scan) || interrupt->seen();
  if (result->cancelled) return;
  std::vector<Left> left(queries);
  for (const auto& part : scans.all()) {
    const std::vector<Left>& its = part->left();
    for (std::size_t q = 0; q < queries; ++q) left[q].add(its[q]);
    result->add(part->effort());
  }
  std::mutex merging;
  const auto many = static_cast<std::size_t>(kNanosecondsPerPiece / finish_time(search.k)) + 1;
  threads = useful_threads(threads, finish_time(search.k) * static_cast<double>(queries));
  const auto finish = [&](std::size_t begin, std::size_t end) {
    Exact exact(search.metric, search.queries, search.parts);
    for (std::size_t q = begin; q < end && !interrupt->ask(); ++q)
      left[q].finish(search, q, &exact, found, interrupt);
    const std::lock_guard<std::mutex> hold(merging);
    result->add(exact.effort());
  };
  result->cancelled =
      !parallel_for(queries, many, threads, interrupt->as_cancel(), finish) || interrupt->seen();
}

// The codes of queries.
struct QueryCodes {
  QueryCodes(const CdfCoder& coder, const CdfMatrix& sums) : bytes(sums.rows() * kCodeBytes) {
    const auto codes = CodeArrays<std::uint8_t>::in(bytes.data(), sums.rows());
    for (std::size_t r = 0; r < sums.rows(); ++r) {
      areas.push_back(coder.areas(sums.row(r), sums.total(r)));
      parts.push_back(CdfCoder::parts_of(areas.back()));
      coder.encode(areas.back(), codes, r);
    }
  }
  CodeArrays<const std::uint8_t> arrays() const {
    return CodeArrays<const std::uint8_t>::in(bytes.data(), areas.size());
  }
  std::vector<std::uint8_t> bytes;
  std::vector<CdfAreas> areas;
  std::vector<CoarseParts> parts;
};

}  // namespace

void CodedResult::add(const CodedResult& other) {
  cancelled = cancelled || other.cancelled;
  bad_query = std::min(bad_query, other.bad_query);
  bad_row = std::min(bad_row, other.bad_row);
  bad_part = std::min(bad_part, other.bad_part);
  looked_at += other.looked_at;
  scanned += other.scanned;
}

KnnResult encode_rows(const Wasserstein1d& metric, const MassMatrix& rows, std::size_t threads,
                      const Cancel& cancel, std::uint8_t* codes, std::uint8_t* remainders) {
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
            coder.encode(coder.areas(sums.row(r), sums.total(r)), arrays, begin + r,
                         remainders == nullptr ? nullptr : remainders + (begin + r) * kHalfCode);
        }
      });
  return result;
}

CodedResult nearest_coded(const Wasserstein1d& metric, const MassMatrix& queries,
                          const std::vector<CodedRows>& parts, std::size_t k, double radius,
                          std::size_t threads, const Cancel& cancel, double* distances,
                          std::int64_t* indices) {
  constexpr std::size_t kQueriesAtOnce = 512, kFewQueries = 4;
  const CdfCoder coder(metric);
  const Parts all(parts, queries.rows <= kFewQueries ? kBlock : kSharedBlock);
  const double time = static_cast<double>(queries.rows) * (scan_time(all) + finish_time(k));
  const std::size_t useful = useful_threads(threads, time);
  // Threads share the queries, if there are enough; but a scan of all codes is shared by queries.
  const bool apart = useful > 1 && all.rows_in_order() == 0 && queries.rows >= 2 * useful;
  const std::size_t fair = apart ? queries.rows / (8 * useful) : kQueriesAtOnce;
  const std::size_t step = std::clamp<std::size_t>(fair, 1, kQueriesAtOnce);
  SharedInterrupt interrupt(cancel);
  CodedResult result;
  std::mutex merging;
  const auto search_from = [&](std::size_t first) {
    CodedResult part;
    CdfMatrix sums;
    part.bad_query = sums.assign(queries, first, std::min(first + step, queries.rows));
    if (part.bad_query == kNoBadRow) {
      const QueryCodes codes(coder, sums);
      const Search search{metric, coder, sums, codes.areas, codes.parts, codes.arrays(), all, k};
      Found found(sums.rows(), k, radius);
      search_rows(search, apart ? 1 : threads, &interrupt, &found, &part);
      for (std::size_t q = 0; q < sums.rows(); ++q) {
        const std::vector<Neighbor> sorted = found.take_sorted(q);
        double* to_distances = distances + (first + q) * k;
        std::int64_t* to_indices = indices + (first + q) * k;
        for (std::size_t i = 0; i < k; ++i) {
          to_distances[i] = i < sorted.size() ? sorted[i].distance : kInfinity;
          to_indices[i] = i < sorted.size() ? sorted[i].index : -1;
        }
      }
    }
    const std::lock_guard<std::mutex> hold(merging);
    result.add(part);
  };
  const bool done = parallel_for((queries.rows + step - 1) / step, 1, apart ? useful : 1,
                                 interrupt.as_cancel(), [&](std::size_t begin, std::size_t end) {
                                   for (std::size_t i = begin; i < end; ++i) search_from(i * step);
                                 });
  result.cancelled = result.cancelled || !done;
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
  const Search search{metric, coder, sums, codes.areas, codes.parts, codes.arrays(), all, 0};
  const std::uint32_t limit = coder.limit(radius, codes.arrays().lost(0) + CdfCoder::kMostLost);
  std::mutex merging;
  SharedInterrupt interrupt(cancel);
  const auto scan = [&](std::size_t first, std::size_t last) {
    Exact exact(metric, sums, all);
    std::vector<std::uint32_t> near(kBlock);
    std::vector<Neighbor> part;
    std::uint64_t scanned = 0;
    const auto take = [&](Place begin, std::size_t rows) {
      scanned += rows;
      const std::size_t count =
          kernels().near_codes(all.codes(begin.part).coarse_of(begin.at), rows,
                               codes.arrays().coarse, limit, near.data());
      for (std::size_t i = 0; i < count; ++i) {
        const Place place{begin.part, begin.at + near[i]};
        if (search.lower_bound(0, place) > radius) continue;
        if (!exact.exists(place) || all.skipped(place)) continue;
        const double distance = exact.distance(0, place);
        if (distance <= radius) part.push_back({distance, all.id(place)});
      }
    };
    for (std::size_t piece = first; piece < last && !interrupt.ask(); ++piece) {
      const Place begin = all.block(piece);
      const std::size_t rows = all.block_rows(piece);
      if (all.is_tree(begin.part))
        all_near_leaves(all.tree(begin.part), all.masses(begin.part).rows, begin.at,
                        begin.at + rows, codes.parts[0], coder.parts_limit(radius),
                        [&](std::size_t leaf, std::uint32_t) {
                          const auto at = static_cast<std::uint32_t>(leaf * kLeafRows);
                          if (!interrupt.ask())
                            take({begin.part, at}, all.rows_of_leaf(begin.part, at));
                        });
      else
        take(begin, rows);
    }
    const std::lock_guard<std::mutex> hold(merging);
    result.add(exact.effort());
    result.scanned += scanned;
    found->insert(found->end(), part.begin(), part.end());
  };
  threads = useful_threads(threads, range_time(all, codes.parts[0], coder.parts_limit(radius)));
  const std::size_t grain = std::max<std::size_t>(1, all.blocks() / (32 * threads));
  result.cancelled =
      !parallel_for(all.blocks(), grain, threads, interrupt.as_cancel(), scan) || interrupt.seen();
  std::sort(found->begin(), found->end());
  return result;
}

bool codes_pay(const Wasserstein1d& metric, const MassMatrix& queries, const MassMatrix& database,
               std::size_t k) {
  constexpr std::size_t kFewestQueries = 20, kFewestRows = 512, kFewestBins = 32;
  constexpr std::size_t kFewestPairs = kFewestQueries * 2048, kRowsPerNeighbor = 8;
  constexpr std::size_t kAsked = 4, kSampled = 2048;
  constexpr std::uint64_t kLookedAt = 16;  // times as dear as a row of a scan
  const bool could = metric.is_area() && metric.bins() >= kFewestBins &&
                     queries.rows >= kFewestQueries && database.rows >= kFewestRows &&
                     queries.rows >= kFewestPairs / database.rows &&
                     database.rows < std::numeric_limits<std::uint32_t>::max() &&
                     k <= database.rows / kRowsPerNeighbor && CdfCoder(metric).is_useful();
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
  constexpr std::size_t kRowsPerQuery = 2048;  // for which arranging pays, too
  const std::size_t n = database.rows;
  const bool arranged = queries.rows >= n / kRowsPerQuery;
  std::vector<std::uint8_t> bytes(n * (arranged ? kRawBytes : kCodeBytes));
  KnnResult result = encode_rows(metric, database, threads, cancel, bytes.data(),
                                 arranged ? bytes.data() + n * kCodeBytes : nullptr);
  if (result.cancelled) return result;
  if (result.bad_row != kNoBadRow) {  // of the queries they are named first
    CdfMatrix sums;
    for (std::size_t q = 0; q < queries.rows && result.bad_query == kNoBadRow; ++q)
      result.bad_query = sums.assign(queries, q, q + 1);
    return result;
  }
  if (arranged) {
    std::vector<std::uint8_t> tree(CodeTree<std::uint8_t>::bytes(n));
    result.cancelled = !arrange_codes(bytes.data(), n, threads, cancel, tree.data());
    if (result.cancelled) return result;
    bytes = std::move(tree);
  }
  const std::vector<CodedRows> parts{{database, bytes.data(), skip, arranged}};
  return nearest_coded(metric, queries, parts, k, kInfinity, threads, cancel, distances, indices);
}

}  // namespace imgsim
