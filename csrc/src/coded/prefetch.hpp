// Reading ahead.
#pragma once

#include <cstddef>
#include <cstdint>

namespace imgsim::coded {

constexpr std::size_t kLine = 64;

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

// Reads one byte of each cache line of some: what is far apart, and in pages that the processor has
// to look up, it does not begin to read (measured), but reads side by side what does not depend on
// each other.
inline void touch(const std::uint8_t* bytes, std::size_t n) {
  const volatile std::uint8_t* lines = bytes;
  for (std::size_t i = 0; i < n; i += kLine) static_cast<void>(lines[i]);
}

}  // namespace imgsim::coded
