// Reading ahead.
#pragma once

namespace imgsim::coded {

// Begins to read the cache line at an address, if the compiler knows how.
inline void prefetch(const void* address) {
#if defined(__GNUC__)
  __builtin_prefetch(address);
#else
  (void)address;
#endif
}

}  // namespace imgsim::coded
