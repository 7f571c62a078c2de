// Stopping a search of codes early.
#pragma once

#include <atomic>
#include <chrono>
#include <thread>

#include "imgsim/parallel.hpp"

namespace imgsim::coded {

// A cancel that is also noticed within a piece: where no bound helps, one may take seconds.
class SharedInterrupt {
 public:
  explicit SharedInterrupt(const Cancel& cancel) : cancel_(cancel) {}
  SharedInterrupt(const SharedInterrupt&) = delete;
  SharedInterrupt& operator=(const SharedInterrupt&) = delete;

  bool seen() const { return seen_.load(std::memory_order_relaxed); }
  // Asks, if this is the calling thread and it has not done so for a while.
  bool ask() {
    if (seen() || cancel_.poll == nullptr || std::this_thread::get_id() != caller_) return seen();
    const auto now = std::chrono::steady_clock::now();
    if (now - last_ < std::chrono::milliseconds(20)) return false;
    last_ = now;
    if (cancel_.poll(cancel_.context)) seen_.store(true, std::memory_order_relaxed);
    return seen();
  }
  // For parallel_for().
  Cancel as_cancel() {
    return {[](void* self) { return static_cast<SharedInterrupt*>(self)->ask(); }, this};
  }

 private:
  const Cancel cancel_;
  const std::thread::id caller_ = std::this_thread::get_id();
  std::chrono::steady_clock::time_point last_ = std::chrono::steady_clock::now();
  std::atomic<bool> seen_{false};
};

}  // namespace imgsim::coded
