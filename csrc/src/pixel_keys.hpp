// A number for each pixel of an image, in stretches.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "grey_rows.hpp"
#include "imgsim/sparse_histogram.hpp"
#include "imgsim/views.hpp"

namespace imgsim {

// The key of a pixel is the sum of what `part` says of the level of each channel.
class KeyReader {
 public:
  static constexpr std::size_t kChunk = 4096;  // keys that are made before they are used

  template <class Part>
  KeyReader(const ImageView& image, const MaskView& mask, const Part& part)
      : image_(mask.data == nullptr ? flattened(image) : image), mask_(mask) {
    for (std::size_t c = 0; c < image.channels; ++c)
      for (std::size_t v = 0; v < 256; ++v) offsets_[c][v] = part(c, v);
  }

  // Calls use(keys, n) with stretches of keys, which together are those of the selected pixels in
  // their order, as long as it returns true; returns what it returned last.
  template <class Use>
  bool for_each_stretch(Use use) const {
    std::uint32_t keys[kChunk];
    for (std::size_t y = 0; y < image_.height; ++y) {
      for (std::size_t x = 0; x < image_.width; x += kChunk)
        if (!use(keys, fill(y, x, std::min(kChunk, image_.width - x), keys))) return false;
    }
    return true;
  }

 private:
  std::size_t fill(std::size_t y, std::size_t x, std::size_t n, std::uint32_t* keys) const {
    const std::uint8_t* pixel = pixel_at(image_, y, x);
    if (mask_.data == nullptr) {
      for (std::size_t i = 0; i < n; ++i, pixel += image_.pixel_stride) keys[i] = key_of(pixel);
      return n;
    }
    const std::uint8_t* selected = mask_.data + static_cast<std::ptrdiff_t>(y) * mask_.row_stride +
                                   static_cast<std::ptrdiff_t>(x) * mask_.pixel_stride;
    std::size_t filled = 0;
    for (std::size_t i = 0; i < n; ++i) {
      keys[filled] = key_of(pixel);
      filled += *selected != 0;
      pixel += image_.pixel_stride;
      selected += mask_.pixel_stride;
    }
    return filled;
  }

  std::uint32_t key_of(const std::uint8_t* pixel) const {
    std::uint32_t key = offsets_[0][pixel[0]];
    for (std::size_t c = 1; c < image_.channels; ++c) {
      pixel += image_.channel_stride;
      key += offsets_[c][*pixel];
    }
    return key;
  }

  ImageView image_;
  MaskView mask_;
  std::uint32_t offsets_[kMostKeyedChannels][256];
};

}  // namespace imgsim
