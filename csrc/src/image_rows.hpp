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

// Reads the pixels from column `first` up to `last` of a row, mirrored where they lie outside:
// use(at, pixel, n, stride) for n pixels inside, in order, `stride` bytes apart; `at` counts from
// `first`.
template <class Use>
void for_each_stretch(const ImageView& image, std::ptrdiff_t row, std::ptrdiff_t first,
                      std::ptrdiff_t last, Use use) {
  const std::uint8_t* start = row_at(image, mirrored(row, image.height));
  const auto width = static_cast<std::ptrdiff_t>(image.width);
  const std::ptrdiff_t begin = std::clamp<std::ptrdiff_t>(0, first, last),
                       end = std::clamp(width, begin, last);
  const auto stretch = [&](std::ptrdiff_t x, std::ptrdiff_t inside, std::ptrdiff_t n) {
    use(static_cast<std::size_t>(x - first), start + inside * image.pixel_stride,
        static_cast<std::size_t>(n), image.pixel_stride);
  };
  const auto outside = [&](std::ptrdiff_t x) {
    stretch(x, static_cast<std::ptrdiff_t>(mirrored(x, image.width)), 1);
  };
  for (std::ptrdiff_t x = first; x < begin; ++x) outside(x);
  if (begin < end) stretch(begin, begin, end - begin);
  for (std::ptrdiff_t x = end; x < last; ++x) outside(x);
}

// out[(x - first) * channels + c] = to(pixel).
template <class Pixel, class Out, class To>
void read_row(const ImageView& image, std::ptrdiff_t row, std::ptrdiff_t first, std::ptrdiff_t last,
              To to, Out* out) {
  for_each_stretch(
      image, row, first, last,
      [&](std::size_t at, const std::uint8_t* pixel, std::size_t n, std::ptrdiff_t stride) {
        for (std::size_t c = 0; c < image.channels; ++c) {
          const std::uint8_t* from = pixel + static_cast<std::ptrdiff_t>(c) * image.channel_stride;
          Out* value = out + at * image.channels + c;
          for (std::size_t i = 0; i < n; ++i, from += stride, value += image.channels) {
            Pixel read;
            std::memcpy(&read, from, sizeof read);  // NumPy views may be unaligned
            *value = to(read);
          }
        }
      });
}

// The same for bytes as they are, at once where they lie packed.
inline void read_bytes(const ImageView& image, std::ptrdiff_t row, std::ptrdiff_t first,
                       std::ptrdiff_t last, std::uint8_t* out) {
  if (!has_packed_rows(image))
    return read_row<std::uint8_t>(
        image, row, first, last, [](std::uint8_t value) { return value; }, out);
  for_each_stretch(image, row, first, last,
                   [&](std::size_t at, const std::uint8_t* pixel, std::size_t n, std::ptrdiff_t) {
                     std::memcpy(out + at * image.channels, pixel, n * image.channels);
                   });
}

}  // namespace imgsim
