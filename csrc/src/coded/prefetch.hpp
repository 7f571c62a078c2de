// Reading ahead.
#pragma once

#include <cstddef>
#include <cstdint>

namespace imgsim::coded {

constexpr std::size_t kLine = 64;  // bytes of a cache line

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
  for (std::size_t i = 0; i < n; i += kLine) prefetch(bytes + i);
}

// Reads one byte of each cache line of some. A prefetch may be dropped where the processor has to
// look up the page; a read is not, and reads that do not depend on each other wait side by side.
inline void touch(const std::uint8_t* bytes, std::size_t n) {
  const volatile std::uint8_t* lines = bytes;
  for (std::size_t i = 0; i < n; i += kLine) static_cast<void>(lines[i]);
}

}  // namespace imgsim::coded
