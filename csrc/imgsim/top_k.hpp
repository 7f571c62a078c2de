// The k smallest distances seen, ordered by (distance, index): ties always go to the lower index.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <vector>

namespace imgsim {

struct Neighbor {
  double distance;
  std::int64_t index;
  friend bool operator<(const Neighbor& x, const Neighbor& y) {
    return x.distance < y.distance || (x.distance == y.distance && x.index < y.index);
  }
};

// One comparison for an entry that does not get in. For one that does: a few moves in a sorted list
// for small k, O(log k) in a heap for large.
class TopK {
 public:
  explicit TopK(std::size_t k) : k_(k), sorted_(k <= kSmall) { entries_.reserve(k); }

  // A distance above this cannot get in; infinity until there are k entries.
  double threshold() const { return threshold_; }
  // The one that would go first; there is one, if threshold() is finite.
  const Neighbor& last() const { return sorted_ ? entries_.back() : entries_.front(); }

  void push(double distance, std::int64_t index) {
    const Neighbor entry{distance, index};
    if (entries_.size() < k_)
      entries_.push_back(entry);
    else if (k_ != 0 && entry < last())
      make_room(entry);
    else
      return;
    if (sorted_)
      sink();
    else
      std::push_heap(entries_.begin(), entries_.end());
    if (entries_.size() == k_) threshold_ = last().distance;
  }

  void merge(const TopK& other) {
    for (const Neighbor& entry : other.entries_) push(entry.distance, entry.index);
  }

  // Nearest first; the object is empty afterwards.
  std::vector<Neighbor> take_sorted() {
    if (!sorted_) std::sort_heap(entries_.begin(), entries_.end());
    threshold_ = std::numeric_limits<double>::infinity();
    return std::move(entries_);
  }

 private:
  static constexpr std::size_t kSmall = 64;

  // The worst entry gives its place, the last one, to the new entry.
  void make_room(const Neighbor& entry) {
    if (!sorted_) std::pop_heap(entries_.begin(), entries_.end());
    entries_.back() = entry;
  }

  // Moves the last entry to where it belongs.
  void sink() {
    const Neighbor entry = entries_.back();
    std::size_t at = entries_.size() - 1;
    for (; at > 0 && entry < entries_[at - 1]; --at) entries_[at] = entries_[at - 1];
    entries_[at] = entry;
  }

  std::size_t k_;
  bool sorted_;
  double threshold_ = std::numeric_limits<double>::infinity();
  std::vector<Neighbor> entries_;  // ascending if sorted_, else a heap with the worst in front
};

}  // namespace imgsim
