// Reading ahead.
#pragma once

#include <cstddef>
#include <cstdint>

namespace imgsim::coded {

// Begins to read the cache line at an address, if the compiler knows how.
inline void prefetch(const void* address) {
#if defined(__GNUC__)
  __builtin_prefetch(address);
#else
  (void)address;
#endif
}

// Begins to read some bytes.
inline void prefetch(const std::uint8_t* bytes, std::size_t n) {
  constexpr std::size_t kLine = 64;
  for (std::size_t i = 0; i < n; i += kLine) prefetch(bytes + i);
}

}  // namespace imgsim::coded
