// Asks a Cancel now and then, at most every 20 ms.
#pragma once

#include <chrono>
#include <cstddef>

#include "imgsim/parallel.hpp"

namespace imgsim {

class Interrupt {
 public:
  explicit Interrupt(const Cancel& cancel) : cancel_(cancel) {}

  // True once the work is to be stopped. Looks at the clock when the weights of the calls, one
  // being a microsecond or so, add up to 64.
  bool due(std::size_t weight = 1) {
    if (cancel_.poll == nullptr || (waited_ += weight) < 64) return stop_;
    waited_ = 0;
    const auto now = std::chrono::steady_clock::now();
    if (!started_) {
      started_ = true;
      last_ = now;
    }
    if (now - last_ < std::chrono::milliseconds(20)) return stop_;
    last_ = now;
    stop_ = stop_ || cancel_.poll(cancel_.context);
    return stop_;
  }

 private:
  Cancel cancel_;
  bool stop_ = false;
  bool started_ = false;
  std::size_t waited_ = 0;
  std::chrono::steady_clock::time_point last_{};
};

}  // namespace imgsim
