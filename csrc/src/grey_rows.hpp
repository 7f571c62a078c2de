// One stretch of RGB pixels to grey, whatever its strides: shared by grey.cpp and histogram.cpp.
#pragma once

#include <cstddef>
#include <cstdint>

#include "imgsim/views.hpp"
#include "kernels/kernel_table.hpp"

namespace imgsim {

inline const std::uint8_t* pixel_at(const ImageView& image, std::size_t y, std::size_t x) {
  return static_cast<const std::uint8_t*>(image.data) +
         static_cast<std::ptrdiff_t>(y) * image.row_stride +
         static_cast<std::ptrdiff_t>(x) * image.pixel_stride;
}

// Grey values of `n` pixels of row y from column x on.
inline void grey_stretch(const ImageView& rgb, std::size_t y, std::size_t x, std::size_t n,
                         std::uint8_t* out) {
  const std::uint8_t* pixels = pixel_at(rgb, y, x);
  if (rgb.channel_stride == 1 && rgb.pixel_stride == 4) return kernels().grey_rgb4(pixels, n, out);
  if (rgb.channel_stride == 1 && rgb.pixel_stride == 3) return kernels().grey_rgb3(pixels, n, out);
  for (std::size_t i = 0; i < n; ++i, pixels += rgb.pixel_stride) {
    const std::uint8_t packed[3] = {pixels[0], pixels[rgb.channel_stride],
                                    pixels[2 * rgb.channel_stride]};
    kernels().grey_rgb3(packed, 1, out + i);
  }
}

// Rows that follow each other without a gap are one long row.
inline ImageView flattened(ImageView image) {
  if (image.row_stride == image.pixel_stride * static_cast<std::ptrdiff_t>(image.width)) {
    image.width *= image.height;
    image.height = image.width == 0 ? 0 : 1;
  }
  return image;
}

}  // namespace imgsim
