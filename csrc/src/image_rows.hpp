// Rows of images of any strides as packed pixels, mirrored beyond the borders.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "imgsim/views.hpp"

namespace imgsim {

// The index in [0, n) of a place in ... c b a | a b c | c b a ...
inline std::size_t mirrored(std::ptrdiff_t place, std::size_t n) {
  const auto size = static_cast<std::ptrdiff_t>(n);
  std::ptrdiff_t in_period = place % (2 * size);
  if (in_period < 0) in_period += 2 * size;
  return static_cast<std::size_t>(in_period < size ? in_period : 2 * size - 1 - in_period);
}

// Whether the pixels of a row of bytes follow each other without a gap.
inline bool has_packed_rows(const ImageView& image) {
  const auto channels = static_cast<std::ptrdiff_t>(image.channels);
  return image.pixel_stride == channels && (channels == 1 || image.channel_stride == 1);
}

inline const std::uint8_t* row_at(const ImageView& image, std::size_t row) {
  return static_cast<const std::uint8_t*>(image.data) +
         static_cast<std::ptrdiff_t>(row) * image.row_stride;
}

// out[(x - first) * channels + c] = to(pixel) for the pixels from column `first` up to `last`.
template <class Pixel, class Out, class To>
void read_row(const ImageView& image, std::ptrdiff_t row, std::ptrdiff_t first,
              std::ptrdiff_t last, To to, Out* out) {
  const std::uint8_t* start = row_at(image, mirrored(row, image.height));
  for (std::ptrdiff_t x = first; x < last; ++x) {
    const std::uint8_t* pixel =
        start + static_cast<std::ptrdiff_t>(mirrored(x, image.width)) * image.pixel_stride;
    for (std::size_t c = 0; c < image.channels; ++c, pixel += image.channel_stride) {
      Pixel value;
      std::memcpy(&value, pixel, sizeof value);  // NumPy views may be unaligned
      *out++ = to(value);
    }
  }
}

// The same for bytes as they are; the middle at once where it lies packed.
inline void read_bytes(const ImageView& image, std::ptrdiff_t row, std::ptrdiff_t first,
                       std::ptrdiff_t last, std::uint8_t* out) {
  const auto same = [](std::uint8_t value) { return value; };
  const auto width = static_cast<std::ptrdiff_t>(image.width);
  const std::ptrdiff_t begin = std::clamp<std::ptrdiff_t>(0, first, last),
                       end = std::clamp(width, begin, last);
  if (!has_packed_rows(image)) return read_row<std::uint8_t>(image, row, first, last, same, out);
  const auto at = [&](std::ptrdiff_t x) {
    return out + static_cast<std::size_t>(x - first) * image.channels;
  };
  read_row<std::uint8_t>(image, row, first, begin, same, out);
  std::memcpy(at(begin), row_at(image, mirrored(row, image.height)) + begin * image.pixel_stride,
              static_cast<std::size_t>(end - begin) * image.channels);
  read_row<std::uint8_t>(image, row, end, last, same, at(end));
}

}  // namespace imgsim
