// What codes have not ruled out.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "coded/interrupt.hpp"
#include "coded/parts.hpp"
#include "imgsim/top_k.hpp"

namespace imgsim::coded {

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
  Place place;
  friend bool operator<(const Candidate& x, const Candidate& y) { return x.lower < y.lower; }
};

struct Search {
  const Wasserstein1d& metric;
  const CdfCoder& coder;
  const CdfMatrix& queries;
  const std::vector<CdfAreas>& query_areas;
  const std::vector<CoarseParts>& query_parts;
  CodeArrays<const std::uint8_t> query_codes;
  const Parts& parts;
  std::size_t k;

  double lower_bound(std::size_t query, Place one) const {
    const auto& codes = parts.codes(one.part);
    return coder.lower_bound(query_areas[query], codes.coarse_of(one.at), codes.fine_of(one.at),
                             codes.lost(one.at));
  }
  double upper_bound(std::size_t query, Place one) const {
    const auto& codes = parts.codes(one.part);
    return coder.upper_bound(query_areas[query], codes.coarse_of(one.at), codes.fine_of(one.at),
                             codes.lost(one.at), codes.spread(one.at));
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
  void add(double lower, Place place) { candidates_.push_back({lower, place}); }
  TopK& best() { return best_; }

  // Codes alone: the k rows that look nearest cannot be farther than their upper bounds.
  void tighten(const Search& search, std::size_t query, Thresholds* thresholds) {
    long_ = 2 * candidates_.size() + kFew;
    if (candidates_.size() < search.k || search.k == 0) return;
    const auto kth = candidates_.begin() + static_cast<std::ptrdiff_t>(search.k - 1);
    std::nth_element(candidates_.begin(), kth, candidates_.end());
    double most = 0.0;
    for (std::size_t i = 0; i < search.k; ++i)
      most = std::max(most, search.upper_bound(query, candidates_[i].place));
    thresholds->lower(query, most);
    prune(thresholds->of(query));
    long_ = 2 * candidates_.size() + kFew;
  }

  // Looks at the k rows that seem nearest, or at some of them before an interrupt.
  void look(const Search& search, std::size_t query, Exact* exact, Thresholds* thresholds,
            SharedInterrupt* interrupt) {
    prune(thresholds->of(query));
    const std::size_t n = std::min(search.k, candidates_.size());
    const auto last = candidates_.begin() + static_cast<std::ptrdiff_t>(n);
    std::nth_element(candidates_.begin(), last, candidates_.end());
    std::sort(candidates_.begin(), last);
    for (std::size_t begin = 0; begin < n && !interrupt->ask(); begin += kAtOnce) {
      const std::size_t end = std::min(n, begin + kAtOnce);
      for (std::size_t i = begin; i < end; ++i) search.parts.fetch_row(candidates_[i].place);
      for (std::size_t i = begin; i < end && candidates_[i].lower <= thresholds->of(query); ++i)
        push(search, query, candidates_[i].place, exact, thresholds);
    }
    candidates_.erase(candidates_.begin(), last);
    prune(thresholds->of(query));
    long_ = candidates_.size() + kFew;
    has_looked_ = true;
  }
  bool has_looked() const { return has_looked_; }

  // Looks at all that could be near, nearest bound first.
  void finish(const Search& search, std::size_t query, Exact* exact, Thresholds* thresholds,
              SharedInterrupt* interrupt) {
    look(search, query, exact, thresholds, interrupt);
    std::sort(candidates_.begin(), candidates_.end());
    constexpr std::size_t kAhead = 4;
    for (std::size_t i = 0; i < candidates_.size(); ++i) {
      if (candidates_[i].lower > thresholds->of(query)) break;
      if (i % kAtOnce == 0 && interrupt->ask()) break;
      if (i + kAhead < candidates_.size()) search.parts.fetch_row(candidates_[i + kAhead].place);
      push(search, query, candidates_[i].place, exact, thresholds);
    }
    candidates_.clear();
  }

  void merge(const Left& other) {
    best_.merge(other.best_);
    candidates_.insert(candidates_.end(), other.candidates_.begin(), other.candidates_.end());
  }

 private:
  void push(const Search& search, std::size_t query, Place place, Exact* exact,
            Thresholds* thresholds) {
    const double distance = exact->distance(query, place);
    if (distance > thresholds->of(query)) return;
    best_.push(distance, search.parts.id(place));
    thresholds->lower(query, best_.threshold());
  }
  void prune(double threshold) {
    candidates_.erase(
        std::remove_if(candidates_.begin(), candidates_.end(),
                       [threshold](const Candidate& one) { return one.lower > threshold; }),
        candidates_.end());
  }

  static constexpr std::size_t kFew = 128;
  static constexpr std::size_t kAtOnce = 256;  // rows

  TopK best_;
  std::vector<Candidate> candidates_;
  std::size_t long_ = kFew;
  bool has_looked_ = false;
};

}  // namespace imgsim::coded
