// Loops over colours and their counters, compiled once per instruction set.
#pragma once

#include <cstddef>
#include <cstdint>

namespace {

void color_numbers(const std::uint8_t* pixels, std::size_t n, std::uint32_t* out) {
  for (std::size_t i = 0; i < n; ++i) {
    const std::uint32_t r = pixels[3 * i], g = pixels[3 * i + 1], b = pixels[3 * i + 2];
    out[i] = (r >> 4) << 20 | (g >> 4) << 16 | (b >> 4) << 12 | (r & 12) << 8 | (g & 12) << 6 |
             (b & 12) << 4 | (r & 3) << 4 | (g & 3) << 2 | (b & 3);
  }
}

std::uint32_t dot_u8(const std::uint8_t* a, const std::uint8_t* b, std::size_t n) {
  std::uint32_t sum = 0;
  for (std::size_t i = 0; i < n; ++i) sum += std::uint32_t{a[i]} * b[i];
  return sum;
}

}  // namespace
