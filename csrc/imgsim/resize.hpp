// Area interpolation of 8-bit images: an output pixel is the mean of the input over the rectangle
// that it covers, rounded half up. Exact: overlaps are whole numbers of 1 / out-th parts of pixels.
#pragma once

#include <cstddef>
#include <cstdint>

#include "imgsim/views.hpp"

namespace imgsim {

constexpr std::size_t kMostResized = 1 << 24;  // pixels along a side, less than

// out: height * width * channels bytes, channels fastest; no side of either is 0. O(input rows and
// output rows) of vectors, one division per output pixel.
void resize_area(const ImageView& image, std::size_t height, std::size_t width, std::uint8_t* out);

}  // namespace imgsim
