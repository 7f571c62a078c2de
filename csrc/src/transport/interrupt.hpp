// Asks a Cancel now and then, at most every 20 ms.
#pragma once

#include <chrono>

#include "imgsim/parallel.hpp"

namespace imgsim {

class Interrupt {
 public:
  explicit Interrupt(const Cancel& cancel) : cancel_(cancel) {}

  // True once the work is to be stopped. Looks at the clock every 64th time only.
  bool due() {
    if (cancel_.poll == nullptr || ++calls_ % 64 != 0) return stop_;
    const auto now = std::chrono::steady_clock::now();
    if (calls_ == 64) last_ = now;
    if (now - last_ < std::chrono::milliseconds(20)) return stop_;
    last_ = now;
    stop_ = stop_ || cancel_.poll(cancel_.context);
    return stop_;
  }

 private:
  Cancel cancel_;
  bool stop_ = false;
  unsigned long long calls_ = 0;
  std::chrono::steady_clock::time_point last_{};
};

}  // namespace imgsim
