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

// O(log k) per entry that gets in, one comparison for those that do not.
class TopK {
 public:
  explicit TopK(std::size_t k) : k_(k) { heap_.reserve(k); }

  // A distance above this cannot get in; infinity until there are k entries.
  double threshold() const { return threshold_; }

  void push(double distance, std::int64_t index) {
    const Neighbor entry{distance, index};
    if (heap_.size() < k_) {
      heap_.push_back(entry);
      std::push_heap(heap_.begin(), heap_.end());
    } else if (k_ != 0 && entry < heap_.front()) {
      std::pop_heap(heap_.begin(), heap_.end());
      heap_.back() = entry;
      std::push_heap(heap_.begin(), heap_.end());
    } else {
      return;
    }
    if (heap_.size() == k_) threshold_ = heap_.front().distance;
  }

  void merge(const TopK& other) {
    for (const Neighbor& entry : other.heap_) push(entry.distance, entry.index);
  }

  // Nearest first; the object is empty afterwards.
  std::vector<Neighbor> take_sorted() {
    std::sort_heap(heap_.begin(), heap_.end());
    threshold_ = std::numeric_limits<double>::infinity();
    return std::move(heap_);
  }

 private:
  std::size_t k_;
  double threshold_ = std::numeric_limits<double>::infinity();
  std::vector<Neighbor> heap_;  // largest entry in front
};

}  // namespace imgsim
