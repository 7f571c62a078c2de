// What a search has found.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <mutex>
#include <vector>

#include "imgsim/top_k.hpp"
#include "patience.hpp"

namespace imgsim::coded {

// The nearest rows of each query, and a distance that the k-th of them cannot exceed, as all
// threads know them: apart, each would rule out only what is farther than its own k.
class Found {
 public:
  Found(std::size_t queries, std::size_t k, double radius)
      : nearest_(queries, TopK(k)), thresholds_(queries) {
    for (Threshold& one : thresholds_) one.value.store(radius, std::memory_order_relaxed);
  }

  double threshold(std::size_t query) const {
    return thresholds_[query].value.load(std::memory_order_relaxed);
  }
  // Whether the k nearest all come before a row of that id that is no nearer than `least`. The last
  // of them only ever comes earlier. Its distance is read first: if the id is that of a later time,
  // what came behind the one then comes behind this one, too.
  bool are_before(std::size_t query, double least, std::int64_t id) const {
    const Threshold& one = thresholds_[query];
    return least >= one.last_distance.load(std::memory_order_acquire) &&
           id > one.last_id.load(std::memory_order_relaxed);
  }
  void lower(std::size_t query, double distance) {
    double before = threshold(query);
    while (distance < before && !thresholds_[query].value.compare_exchange_weak(before, distance)) {
    }
  }
  // What is pushed when does not matter, because the order by (distance, id) is total.
  void push(std::size_t query, double distance, std::int64_t id) {
    if (distance > threshold(query) || are_before(query, distance, id)) return;
    std::unique_lock<std::mutex> hold(pushing_, std::defer_lock);
    for (Patience patience; !hold.try_lock();) patience.wait();  // to be woken takes far longer
    TopK& nearest = nearest_[query];
    nearest.push(distance, id);
    lower(query, nearest.threshold());
    if (nearest.threshold() == kInfinity) return;
    thresholds_[query].last_id.store(nearest.last().index, std::memory_order_relaxed);
    thresholds_[query].last_distance.store(nearest.last().distance, std::memory_order_release);
  }
  // When all have been pushed: nearest first.
  std::vector<Neighbor> take_sorted(std::size_t query) { return nearest_[query].take_sorted(); }

 private:
  static constexpr double kInfinity = std::numeric_limits<double>::infinity();
  // Read all the time: not in a line of memory that is written. What is known of the k-th nearest:
  // no farther than `value`, which codes or a radius may say; if k rows have been found, no farther
  // than the last of these.
  struct alignas(64) Threshold {
    std::atomic<double> value, last_distance{kInfinity};
    std::atomic<std::int64_t> last_id{std::numeric_limits<std::int64_t>::max()};
  };

  std::mutex pushing_;
  std::vector<TopK> nearest_;
  std::vector<Threshold> thresholds_;
};

}  // namespace imgsim::coded
