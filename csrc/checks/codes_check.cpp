// Codes of CDFs: no bound is above a distance, no near row is overlooked; trees of them.
#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <string>
#include <vector>

#include "check.hpp"
#include "imgsim/cdf_codes.hpp"
#include "imgsim/code_tree.hpp"
#include "imgsim/coded_search.hpp"
#include "kernels/kernel_table.hpp"

using namespace imgsim;

namespace {

using sizes = std::vector<std::size_t>;

std::uint32_t differences(const std::uint8_t* a, const std::uint8_t* b) {
  std::uint32_t sum = 0;
  for (std::size_t s = 0; s < kCode; ++s)
    sum += static_cast<std::uint32_t>(std::abs(int{a[s]} - int{b[s]}));
  return sum;
}

// Rows of many kinds: peaks, single bins, flat ones, halves at both ends, a few whole masses.
std::vector<double> rows_of(std::size_t rows, std::size_t bins) {
  std::vector<double> masses(rows * bins);
  for (std::size_t r = 0; r < rows; ++r) {
    double* row = masses.data() + r * bins;
    switch (r % 5) {
      case 0:
        for (std::size_t j = 0; j < bins; ++j) row[j] = static_cast<double>(below(100));
        break;
      case 1:
        row[below(bins)] = 7.0;
        break;
      case 2:
        std::fill_n(row, bins, 1.0 / 3);
        break;
      case 3:
        row[0] = 1e6;
        row[bins - 1] += 1e6;
        break;
      default:
        for (int k = 0; k < 3; ++k) row[below(bins)] += 1.0;
    }
    row[below(bins)] += 1e-3;
  }
  return masses;
}

void check_bounds(std::size_t bins, const double* positions, const std::string& where) {
  constexpr std::size_t kRows = 60;
  const Wasserstein1d metric(bins, positions, 1.0, 1.0, 0.0);
  const CdfCoder coder(metric);
  const std::vector<double> masses = rows_of(kRows, bins);
  CdfMatrix sums;
  sums.assign({MassMatrix::Type::f64, masses.data(), kRows, bins, bins}, 0, kRows);
  if (!coder.is_useful()) {
    expect(metric.between(sums, 0, sums, 1) == 0.0, "a line without length, " + where);
    return;
  }
  std::vector<std::uint8_t> bytes(kRows * kCodeBytes);
  const auto codes = CodeArrays<std::uint8_t>::in(bytes.data(), kRows);
  for (std::size_t r = 0; r < kRows; ++r) {
    coder.encode(coder.areas(sums.row(r), sums.total(r)), codes, r);
    expect(codes.lost(r) <= CdfCoder::kMostLost, "lost, " + where);
    expect(codes.spread(r) < 255, "spread, " + where);
  }
  double tightest = 0.0;
  for (std::size_t a = 0; a < kRows; ++a) {
    for (std::size_t b = 0; b < kRows; ++b) {
      const double distance = metric.between(sums, a, sums, b);
      const std::uint32_t rough = differences(codes.coarse_of(a), codes.coarse_of(b));
      const CdfAreas query = coder.areas(sums.row(a), sums.total(a));
      const auto lost = static_cast<std::uint32_t>(codes.lost(a) + codes.lost(b));
      const double bound =
          coder.lower_bound(query, codes.coarse_of(b), codes.fine_of(b), codes.lost(b));
      expect(bound <= distance, "bound above the distance, " + where);
      expect(coder.upper_bound(query, codes.coarse_of(b), codes.fine_of(b), codes.lost(b),
                               codes.spread(b)) >= distance,
             "bound below the distance, " + where);
      expect(rough <= coder.limit(distance, lost), "limit below a near row, " + where);
      if (distance > 0.0) tightest = std::max(tightest, bound / distance);
    }
  }
  expect(tightest > 0.9, "bounds that say something, " + where);
}

void check_scan(std::size_t rows) {
  std::vector<std::uint8_t> codes(rows * kCode), query(kCode);
  for (auto& byte : codes) byte = static_cast<std::uint8_t>(below(256));
  for (auto& byte : query) byte = static_cast<std::uint8_t>(below(256));
  std::vector<std::uint32_t> found(rows);
  for (const std::uint32_t limit : {0U, 450U, 700U, 1000U, 2039U, 2040U, 70000U}) {
    if (rows > 3) std::copy(query.begin(), query.end(), codes.begin() + 2 * kCode);
    std::vector<std::uint32_t> wanted;
    for (std::size_t r = 0; r < rows; ++r)
      if (differences(&codes[r * kCode], query.data()) <= limit)
        wanted.push_back(static_cast<std::uint32_t>(r));
    const std::size_t n =
        kernels().near_codes(codes.data(), rows, query.data(), limit, found.data());
    std::sort(found.begin(), found.begin() + static_cast<std::ptrdiff_t>(n));
    expect(n == wanted.size() && std::equal(wanted.begin(), wanted.end(), found.begin()),
           "near codes of " + std::to_string(rows) + ", limit " + std::to_string(limit));
  }
}

// What the box number i is of.
struct Side {
  const std::uint8_t* boxes;
  std::size_t i;
  std::uint16_t operator()(std::size_t side) const {
    const std::uint8_t* at = boxes + side * kSideBytes + 2 * i;
    return static_cast<std::uint16_t>(at[0] + 256 * at[1]);
  }
};

void check_boxes() {
  std::vector<std::uint8_t> boxes(kBoxesBytes);
  for (std::size_t side = 0; side < 2 * kHalfCode; ++side)
    for (std::size_t i = 0; i < kBoxes; ++i) {
      // Some anywhere, some upside down, some at the ends.
      const std::size_t value = i % 4 == 0 ? 8191 * below(2) : below(8192);
      boxes[side * kSideBytes + 2 * i] = static_cast<std::uint8_t>(value);
      boxes[side * kSideBytes + 2 * i + 1] = static_cast<std::uint8_t>(value >> 8);
    }
  CoarseParts query;
  for (std::size_t p = 0; p < kHalfCode; ++p) {
    query.below[p] = static_cast<std::uint16_t>(below(3) == 0 ? 8160 * below(2) : below(8161));
    query.above[p] = static_cast<std::uint16_t>(query.below[p] + below(2));
  }
  std::vector<std::uint16_t> bounds(kBoxes + 1, 7);
  kernels().box_bounds(boxes.data(), query.above.data(), query.below.data(), bounds.data());
  expect(bounds[kBoxes] == 7, "one box too many");
  for (std::size_t i = 0; i < kBoxes; ++i) {
    const Side side{boxes.data(), i};
    int sum = 0;
    for (std::size_t p = 0; p < kHalfCode; ++p)
      sum +=
          std::max(0, side(2 * p) - query.above[p]) + std::max(0, query.below[p] - side(2 * p + 1));
    expect(bounds[i] == static_cast<std::uint16_t>(sum), "box " + std::to_string(i));
  }
}

// No box is farther than a row in it, whose distance may be as near as its code says.
void check_tree(std::size_t n, std::size_t bins, const double* positions) {
  const std::string where = "tree of " + std::to_string(n) + " rows, " + std::to_string(bins) +
                            (positions == nullptr ? " bins" : " uneven bins");
  const Wasserstein1d metric(bins, positions, 1.0, 1.0, 0.0);
  const CdfCoder coder(metric);
  if (!coder.is_useful()) return;
  std::vector<double> masses = rows_of(n, bins);
  const MassMatrix rows{MassMatrix::Type::f64, masses.data(), n, bins, bins};
  std::vector<std::uint8_t> raw(n * kRawBytes), tree(CodeTree<std::uint8_t>::bytes(n));
  encode_rows(metric, rows, 2, Cancel{}, raw.data(), raw.data() + n * kCodeBytes);
  expect(arrange_codes(raw.data(), n, 2, Cancel{}, tree.data()), "not cancelled, " + where);
  const auto from = CodeArrays<const std::uint8_t>::in(raw.data(), n);
  const auto to = CodeTree<const std::uint8_t>::in(tree.data(), n);
  CdfMatrix sums;
  sums.assign(rows, 0, n);
  std::vector<bool> there(n, false);
  constexpr double kError = 1e-4;  // parts_limit() allows for it
  for (std::size_t place = 0; place < n; ++place) {
    const std::size_t row = to.row(place);
    expect(row < n && !there[row], "each row once, " + where);
    if (row >= n) return;
    there[row] = true;
    expect(std::equal(from.coarse_of(row), from.coarse_of(row) + kHalfCode,
                      to.codes.coarse_of(place)) &&
               std::equal(from.fine_of(row), from.fine_of(row) + kRest, to.codes.fine_of(place)),
           "the code of a row, " + where);
    const CdfAreas areas = coder.areas(sums.row(row), sums.total(row));
    const Side sides[] = {{to.leaves_of(place / kGroupRows), place % kGroupRows / kLeafRows},
                          {to.groups_of(place / kBlockRows), place % kBlockRows / kGroupRows}};
    for (const Side& side : sides)
      for (std::size_t p = 0; p < kHalfCode; ++p)
        expect(side(2 * p) <= areas.coarse[p] * CdfCoder::kParts + kError &&
                   areas.coarse[p] * CdfCoder::kParts <= side(2 * p + 1) + kError &&
                   side(2 * p + 1) <= 8191,
               "a box around a row, " + where);
    if (place % 97 != 0) continue;
    const std::size_t query = below(n);
    const CoarseParts parts = CdfCoder::parts_of(coder.areas(sums.row(query), sums.total(query)));
    const double distance = metric.between(sums, query, sums, row);
    std::vector<std::uint16_t> bounds(kBoxes);
    for (const Side& side : sides) {
      kernels().box_bounds(side.boxes, parts.above.data(), parts.below.data(), bounds.data());
      expect(bounds[side.i] <= coder.parts_limit(distance), "a box that is too far, " + where);
    }
  }
}

// Threads that share rows, or queries, find what one finds.
void check_threads() {
  constexpr std::size_t kMost = kBlockRows + 1000, kBins = 20, kNearest = 7;
  const Wasserstein1d metric(kBins, nullptr, 1.0, 1.0, 0.0);
  std::vector<double> masses = rows_of(kMost, kBins);
  const auto first = [&](std::size_t n) {
    return MassMatrix{MassMatrix::Type::f64, masses.data(), n, kBins, kBins};
  };
  struct Case {
    bool arranged;
    std::size_t rows, parts;
  };
  // Of 100 trees a search begins in a third.
  for (const Case& one : {Case{true, kMost, 5}, Case{true, 700, 100}, Case{false, kMost, 5}}) {
    std::vector<std::uint8_t> raw(one.rows * kRawBytes),
        tree(CodeTree<std::uint8_t>::bytes(one.rows));
    encode_rows(metric, first(one.rows), 3, Cancel{}, raw.data(),
                raw.data() + one.rows * kCodeBytes);
    arrange_codes(raw.data(), one.rows, 3, Cancel{}, tree.data());
    const std::uint8_t* codes = one.arranged ? tree.data() : raw.data();
    const std::vector<CodedRows> parts(one.parts,
                                       {first(one.rows), codes, nullptr, one.arranged, nullptr});
    for (const std::size_t queries : sizes{1, 40}) {
      std::vector<double> wanted(queries * kNearest), found(queries * kNearest);
      std::vector<std::int64_t> wanted_rows(queries * kNearest), rows(queries * kNearest);
      nearest_coded(metric, first(queries), parts, kNearest, INFINITY, 1, Cancel{}, wanted.data(),
                    wanted_rows.data());
      nearest_coded(metric, first(queries), parts, kNearest, INFINITY, 4, Cancel{}, found.data(),
                    rows.data());
      expect(found == wanted && rows == wanted_rows,
             "threads and " + std::to_string(queries) + " queries");
    }
    std::vector<Neighbor> near[2];
    within_coded(metric, first(1), parts, 0.5, 1, Cancel{}, &near[0]);
    within_coded(metric, first(1), parts, 0.5, 4, Cancel{}, &near[1]);
    expect(near[0].size() >= parts.size(), "itself is near");
    expect(std::equal(near[0].begin(), near[0].end(), near[1].begin(), near[1].end(),
                      [](const Neighbor& x, const Neighbor& y) { return x.index == y.index; }),
           "threads and a radius");
  }
}

}  // namespace

int main(int argc, char** argv) {
  return run_checks(argc, argv, [] {
    for (const std::size_t bins :
         sizes{2, 3, 15, 16, 17, 18, 31, 32, 33, 64, 100, 255, 256, 257, 1000}) {
      check_bounds(bins, nullptr, std::to_string(bins) + " bins");
      std::vector<double> uneven(bins), heaped(bins), far(bins), one(bins, 5.0);
      double at = -3.0;
      for (std::size_t j = 0; j < bins; ++j) {
        at += static_cast<double>(1 + below(1000)) / 100;
        uneven[j] = at;
        heaped[j] = std::floor(at / 7);
        far[j] = j + 1 < bins ? at : 1e12;
      }
      check_bounds(bins, uneven.data(), std::to_string(bins) + " uneven bins");
      check_bounds(bins, heaped.data(), std::to_string(bins) + " heaped bins");
      check_bounds(bins, far.data(), std::to_string(bins) + " bins, one far");
      check_bounds(bins, one.data(), std::to_string(bins) + " bins at one place");
    }
    for (const std::size_t rows : sizes{0, 1, 3, 7, 8, 9, 15, 16, 17, 31, 32, 33, 64, 65, 1000})
      check_scan(rows);
    set_thread_worth(1.0);
    check_threads();
    for (int repeat = 0; repeat < 100; ++repeat) check_boxes();
    for (const std::size_t n : sizes{0, 1, 255, 256, 257, 512, 4095, 4096, 4097, 20000, 70000})
      for (const std::size_t bins : n < 50000 ? sizes{2, 16, 33, 64} : sizes{33}) {
        check_tree(n, bins, nullptr);
        std::vector<double> uneven(bins);
        for (std::size_t j = 1; j < bins; ++j)
          uneven[j] = uneven[j - 1] + static_cast<double>(1 + below(1000)) / 100;
        check_tree(n, bins, uneven.data());
      }
  });
}
