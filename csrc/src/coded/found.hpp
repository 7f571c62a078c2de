// What a search has found.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <mutex>
#include <thread>
#include <vector>

#include "imgsim/top_k.hpp"

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
  // No row of a larger id can be among the k nearest: the last of them has this one, at distance 0.
  std::int64_t last_id(std::size_t query) const {
    return thresholds_[query].last_id.load(std::memory_order_relaxed);
  }
  void lower(std::size_t query, double distance) {
    double before = threshold(query);
    while (distance < before && !thresholds_[query].value.compare_exchange_weak(before, distance)) {
    }
  }
  // What is pushed when does not matter, because the order by (distance, id) is total.
  void push(std::size_t query, double distance, std::int64_t id) {
    if (distance > threshold(query)) return;
    std::unique_lock<std::mutex> hold(pushing_, std::defer_lock);
    while (!hold.try_lock()) std::this_thread::yield();  // to sleep and be woken takes far longer
    TopK& nearest = nearest_[query];
    nearest.push(distance, id);
    lower(query, nearest.threshold());
    if (nearest.threshold() == 0.0)
      thresholds_[query].last_id.store(nearest.last().index, std::memory_order_relaxed);
  }
  // When all have been pushed: nearest first.
  std::vector<Neighbor> take_sorted(std::size_t query) { return nearest_[query].take_sorted(); }

 private:
  // Read all the time: not in a line of memory that is written.
  struct alignas(64) Threshold {
    std::atomic<double> value;
    std::atomic<std::int64_t> last_id{std::numeric_limits<std::int64_t>::max()};
  };

  std::mutex pushing_;
  std::vector<TopK> nearest_;
  std::vector<Threshold> thresholds_;
};

}  // namespace imgsim::coded
