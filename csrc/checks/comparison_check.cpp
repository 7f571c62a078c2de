// Comparison and sparse counting of histograms against naive loops.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <map>
#include <string>
#include <tuple>
#include <vector>

#include "check.hpp"
#include "imgsim/histogram_comparison.hpp"

using namespace imgsim;

namespace {

constexpr Comparison kMethods[] = {Comparison::correlation,  Comparison::chi2,
                                   Comparison::intersection, Comparison::bhattacharyya,
                                   Comparison::chi2_alt,     Comparison::kl};

double naive(Comparison method, const std::vector<double>& a, const std::vector<double>& b) {
  double sum = 0, total_a = 0, total_b = 0, xx = 0, yy = 0, xy = 0;
  const auto bins = static_cast<double>(a.size());
  for (std::size_t j = 0; j < a.size(); ++j) total_a += a[j], total_b += b[j];
  for (std::size_t j = 0; j < a.size(); ++j) {
    const double d = a[j] - b[j], x = a[j] - total_a / bins, y = b[j] - total_b / bins;
    xx += x * x, yy += y * y, xy += x * y;
    if (method == Comparison::chi2 && a[j] != 0) sum += d * d / a[j];
    if (method == Comparison::chi2_alt && a[j] + b[j] != 0) sum += 2 * d * d / (a[j] + b[j]);
    if (method == Comparison::intersection) sum += std::min(a[j], b[j]);
    if (method == Comparison::kl && a[j] != 0)
      sum += a[j] * std::log(a[j] / (b[j] != 0 ? b[j] : 1e-10));
    if (method == Comparison::bhattacharyya) {
      const double gap = std::sqrt(a[j] / total_a) - std::sqrt(b[j] / total_b);
      sum += gap * gap / 2;
    }
  }
  if (method == Comparison::correlation) return xy / std::sqrt(xx * yy);
  return method == Comparison::bhattacharyya ? std::sqrt(sum) : sum;
}

bool close(double found, double expected) {
  return std::fabs(found - expected) <= 1e-9 * (1 + std::fabs(expected));
}

template <class Value>
std::vector<Value> as(const std::vector<double>& values) {
  return std::vector<Value>(values.begin(), values.end());
}

void check_dense(std::size_t bins) {
  constexpr std::size_t kRows = 5;
  std::vector<double> rows(kRows * bins);
  for (double& value : rows) value = static_cast<double>(below(4) == 0 ? 0 : below(50));
  for (std::size_t r = 0; r < kRows; ++r) rows[r * bins] = static_cast<double>(60 + r);
  const auto single = as<float>(rows);
  const auto whole = as<std::int64_t>(rows);
  const auto counts = as<std::uint32_t>(rows);
  const BinRows views[] = {{BinRows::Type::f64, rows.data(), kRows, bins},
                           {BinRows::Type::f32, single.data(), kRows, bins},
                           {BinRows::Type::i64, whole.data(), kRows, bins},
                           {BinRows::Type::u32, counts.data(), kRows, bins}};
  const std::vector<double> first(rows.begin(), rows.begin() + static_cast<std::ptrdiff_t>(bins));
  for (const Comparison method : kMethods) {
    for (const BinRows& view : views) {
      double out[kRows];
      for (const std::size_t threads : sizes{1, 3}) {
        const ComparisonBatch batch =
            compare_one_to_many(method, false, view, view, threads, Cancel{}, out);
        expect(batch.status == ComparisonStatus::good && !batch.cancelled, "status of a batch");
        for (std::size_t r = 0; r < kRows; ++r) {
          const auto* row = rows.data() + r * bins;
          if (method == Comparison::correlation && bins == 1) continue;
          expect(close(out[r], naive(method, first, std::vector<double>(row, row + bins))),
                 "method " + std::to_string(static_cast<int>(method)) + ", " +
                     std::to_string(bins) + " bins, row " + std::to_string(r));
        }
      }
      expect(compare_histograms(method, false, view, view).value == out[0], "pair and batch");
    }
  }
}

void check_sparse(std::size_t height, std::size_t width, std::size_t bins_each, bool masked) {
  const std::size_t bins[] = {bins_each, bins_each, bins_each};
  const std::size_t all_bins = bins_each * bins_each * bins_each;
  std::vector<std::uint8_t> pixels(height * width * 3), mask(height * width);
  // Some colours occur more than 256 times, some once.
  for (auto& level : pixels) level = static_cast<std::uint8_t>(below(3) == 0 ? 255 : below(40));
  for (std::size_t i = 0; i < pixels.size() / 3; ++i) pixels[i] = pixels[i] < 255 ? 7 : 255;
  for (auto& selected : mask) selected = static_cast<std::uint8_t>(below(2));
  const auto row = static_cast<std::ptrdiff_t>(3 * width);
  const ImageView image{pixels.data(), height, width, 3, row, 3, 1};
  const MaskView chosen{masked ? mask.data() : nullptr, static_cast<std::ptrdiff_t>(width), 1};
  const std::uint64_t white = all_bins - 1;
  const SparseCounter counter(image, chosen, bins, white);
  std::vector<std::uint32_t> keys(counter.size()), counts(counter.size());
  counter.write(keys.size(), keys.data(), counts.data());

  std::map<std::uint32_t, std::uint32_t> expected;
  for (std::size_t i = 0; i < mask.size(); ++i) {
    if (masked && mask[i] == 0) continue;
    std::size_t key = 0;
    for (std::size_t c = 0; c < 3; ++c) key = key * bins_each + pixels[3 * i + c] * bins_each / 256;
    if (key != white) ++expected[static_cast<std::uint32_t>(key)];
  }
  std::size_t i = 0;
  std::uint64_t total = 0;
  expect(expected.size() == keys.size(), "number of occupied bins");
  for (const auto& [key, count] : expected) {
    if (i == keys.size()) break;
    expect(keys[i] == key && counts[i] == count, "occupied bin " + std::to_string(i));
    total += count;
    ++i;
  }
  expect(counter.total() == total, "total");

  // The same image but for its first row: counters against counters, and against lists.
  const ImageView rest{pixels.data() + row, height - 1, width, 3, row, 3, 1};
  const SparseCounter fewer(rest, MaskView{}, bins, kNoKey);
  std::vector<std::uint32_t> fewer_keys(fewer.size()), fewer_counts(fewer.size());
  fewer.write(fewer_keys.size(), fewer_keys.data(), fewer_counts.data());
  const SparseView view{keys.data(), counts.data(), keys.size()};
  const SparseView fewer_view{fewer_keys.data(), fewer_counts.data(), fewer_keys.size()};
  for (const auto& [a, b, list_a, list_b] : {std::tuple(&counter, &fewer, view, fewer_view),
                                             std::tuple(&fewer, &counter, fewer_view, view),
                                             std::tuple(&counter, &counter, view, view)}) {
    const ComparisonResult listed =
        compare_sparse(Comparison::correlation, false, list_a, list_b, all_bins);
    expect(correlation(*a, *b) == listed.value, "correlation of counters");
  }
  const std::size_t half = keys.size() / 2;
  const SparseView upper{keys.data() + half, counts.data() + half, keys.size() - half};
  // Row 0 is the lower half, row 1 the upper.
  std::vector<std::uint32_t> packed;
  const auto append = [&packed](const SparseView& one) {
    packed.insert(packed.end(), one.keys, one.keys + one.size);
    packed.insert(packed.end(), one.counts, one.counts + one.size);
  };
  append({keys.data(), counts.data(), half});
  append(upper);
  const std::int64_t offsets[] = {0, static_cast<std::int64_t>(2 * half),
                                  static_cast<std::int64_t>(packed.size())};
  for (const Comparison method : kMethods) {
    for (const bool normalize : {false, true}) {
      double out[2];
      const SparseRows rows{packed.data(), offsets, 2};
      compare_sparse_one_to_many(method, normalize, view, rows, all_bins, 2, Cancel{}, out);
      const ComparisonResult pair = compare_sparse(method, normalize, view, upper, all_bins);
      expect(pair.status == ComparisonStatus::good && pair.value == out[1], "sparse pair");
      if (all_bins > 5000) continue;
      std::vector<double> dense(all_bins), dense_upper(all_bins);
      for (std::size_t k = 0; k < keys.size(); ++k) {
        dense[keys[k]] = counts[k];
        if (k >= half) dense_upper[keys[k]] = counts[k];
      }
      const ComparisonResult same =
          compare_histograms(method, normalize, {BinRows::Type::f64, dense.data(), 1, all_bins},
                             {BinRows::Type::f64, dense_upper.data(), 1, all_bins});
      expect(close(pair.value, same.value), "sparse and dense");
    }
  }
}

}  // namespace

int main(int argc, char** argv) {
  return run_checks(argc, argv, [] {
    for (const std::size_t bins :
         sizes{1, 3, 7, 8, 9, 15, 16, 17, 31, 32, 33, 64, 65, 1023, 1025, 2500})
      check_dense(bins);
    for (const std::size_t bins : sizes{1, 2, 8, 17, 40, 41, 100, 256})
      for (const bool masked : {false, true})
        for (const std::size_t width : sizes{1, 3, 64, 101, 5000})
          check_sparse(3, width, bins, masked);
  });
}
