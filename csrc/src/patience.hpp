// Waiting for what another thread is about to do.
#pragma once

#include <thread>

#if defined(__x86_64__) || defined(_M_X64)
#include <immintrin.h>
#endif

namespace imgsim {

// For a moment leaves what two threads of a core share to the other one.
inline void relax() {
#if defined(__x86_64__) || defined(_M_X64)
  _mm_pause();
#elif defined(__aarch64__) && defined(__GNUC__)
  __asm__ __volatile__("yield");
#endif
}

// First without giving the processor away, which takes a microsecond or more; then it is given to
// whoever wants it.
class Patience {
 public:
  void wait() {
    if (waited_ < kAlone) {
      ++waited_;
      relax();
    } else {
      std::this_thread::yield();
    }
  }

 private:
  static constexpr int kAlone = 1000;  // at most some 50 us
  int waited_ = 0;
};

}  // namespace imgsim
