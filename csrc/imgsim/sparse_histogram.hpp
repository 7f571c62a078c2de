// Joint histograms that list their occupied bins: a photograph fills some 2 % of 2^24.
#pragma once

#include <cstddef>
#include <cstdint>

#include "imgsim/views.hpp"

namespace imgsim {

// counts[i] > 0 pixels in bin keys[i]; keys ascend.
struct SparseView {
  const std::uint32_t* keys = nullptr;
  const std::uint32_t* counts = nullptr;
  std::size_t size = 0;
};

// Row r is [offsets[r], offsets[r + 1]) of packed: its keys, then as many counts.
struct SparseRows {
  const std::uint32_t* packed = nullptr;
  const std::int64_t* offsets = nullptr;
  std::size_t rows = 0;

  SparseView row(std::size_t r) const {
    const auto begin = static_cast<std::size_t>(offsets[r]);
    const std::size_t size = (static_cast<std::size_t>(offsets[r + 1]) - begin) / 2;
    return {packed + begin, packed + begin + size, size};
  }
};

constexpr std::size_t kMostKeyedChannels = 3;

// How many elements sparse_histogram() needs room for in each output.
std::size_t sparse_histogram_room(const ImageView& image, const std::size_t* bins);

// Writes the keys and counts of an 8-bit image of 1 to 3 channels and fewer than 2^32 pixels, and
// returns their number. Level v of channel c lies in bin v * bins[c] / 256 (rounded down) of
// bins[c] <= 256; the key counts the last channel fastest.
//
// Radix sort by the upper 12 of at most 24 bits, then one small table for the lower 12: about 4 ns
// and 2 bytes of scratch per pixel.
std::size_t sparse_histogram(const ImageView& image, const MaskView& mask, const std::size_t* bins,
                             std::uint32_t* keys, std::uint32_t* counts);

}  // namespace imgsim
