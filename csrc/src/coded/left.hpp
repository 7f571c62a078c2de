// What codes have not ruled out.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

#include "coded/found.hpp"
#include "coded/interrupt.hpp"
#include "coded/parts.hpp"

namespace imgsim::coded {

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
  static constexpr std::size_t kTogether = 32;  // rows that wait for memory together

  std::size_t size() const { return candidates_.size(); }
  // So many more than after the last look that another one is worth its time.
  bool is_long() const { return candidates_.size() > long_; }
  void add(double lower, Place place) { candidates_.push_back({lower, place}); }

  // Codes alone: the k rows that look nearest cannot be farther than their upper bounds.
  void tighten(const Search& search, std::size_t query, Found* found) {
    long_ = 2 * candidates_.size() + kFew;
    if (candidates_.size() < search.k || search.k == 0) return;
    const auto kth = candidates_.begin() + static_cast<std::ptrdiff_t>(search.k - 1);
    std::nth_element(candidates_.begin(), kth, candidates_.end());
    double most = 0.0;
    for (std::size_t i = 0; i < search.k; ++i)
      most = std::max(most, search.upper_bound(query, candidates_[i].place));
    found->lower(query, most);
    prune(found->threshold(query));
    long_ = 2 * candidates_.size() + kFew;
  }

  // Looks at the k rows that seem nearest, or at some of them before an interrupt.
  void look(const Search& search, std::size_t query, Exact* exact, Found* found,
            SharedInterrupt* interrupt) {
    prune(found->threshold(query));
    const std::size_t n = std::min(search.k, candidates_.size());
    const auto last = candidates_.begin() + static_cast<std::ptrdiff_t>(n);
    std::nth_element(candidates_.begin(), last, candidates_.end());
    std::sort(candidates_.begin(), last);
    look_at(candidates_, 0, n, search, query, exact, found, interrupt);
    candidates_.erase(candidates_.begin(), last);
    prune(found->threshold(query));
    long_ = candidates_.size() + kFew;
    has_looked_ = true;
  }
  bool has_looked() const { return has_looked_; }

  // Looks at all that could be near, nearest bound first.
  void finish(const Search& search, std::size_t query, Exact* exact, Found* found,
              SharedInterrupt* interrupt) {
    look(search, query, exact, found, interrupt);
    const std::vector<Candidate> rows = take_sorted();
    look_at(rows, 0, rows.size(), search, query, exact, found, interrupt);
  }

  // What is left, nearest bound first; then nothing is.
  std::vector<Candidate> take_sorted() {
    std::sort(candidates_.begin(), candidates_.end());
    return std::exchange(candidates_, {});
  }
  // Looks at some of such rows. False: those behind them cannot be near, or an interrupt.
  static bool look_at(const std::vector<Candidate>& rows, std::size_t begin, std::size_t end,
                      const Search& search, std::size_t query, Exact* exact, Found* found,
                      SharedInterrupt* interrupt) {
    for (std::size_t first = begin, last; first < end; first = last) {
      last = std::min(end, first + kTogether);
      if (interrupt->ask()) return false;
      const double most = found->threshold(query);
      for (std::size_t i = first; i < last && rows[i].lower <= most; ++i)
        search.parts.touch_row(rows[i].place);
      for (std::size_t i = first; i < last; ++i) {
        if (rows[i].lower > found->threshold(query)) return false;
        push(search, query, rows[i].place, exact, found);
      }
    }
    return true;
  }

  void add(const Left& other) {
    candidates_.insert(candidates_.end(), other.candidates_.begin(), other.candidates_.end());
  }

 private:
  static void push(const Search& search, std::size_t query, Place place, Exact* exact,
                   Found* found) {
    const std::int64_t id = search.parts.id(place);
    if (!found->are_before(query, 0.0, id)) found->push(query, exact->distance(query, place), id);
  }
  void prune(double threshold) {
    candidates_.erase(
        std::remove_if(candidates_.begin(), candidates_.end(),
                       [threshold](const Candidate& one) { return one.lower > threshold; }),
        candidates_.end());
  }

  static constexpr std::size_t kFew = 64;

  std::vector<Candidate> candidates_;
  std::size_t long_ = kFew;
  bool has_looked_ = false;
};

}  // namespace imgsim::coded
