#include "imgsim/resize.hpp"

#include <algorithm>
#include <vector>

#include "image_rows.hpp"
#include "kernels/kernel_table.hpp"

namespace imgsim {
namespace {

// Along an axis of `in` pixels resized to `out`, lengths are counted in 1 / out of an input pixel:
// an input pixel is `out` long, an output pixel `in`. Calls use(input, overlap) for the pixels that
// output pixel i covers.
template <class Use>
void for_each_overlap(std::size_t i, std::size_t in, std::size_t out, Use use) {
  const std::size_t begin = i * in, end = begin + in;
  for (std::size_t k = begin / out; k * out < end; ++k)
    use(k, std::min(end, (k + 1) * out) - std::max(begin, k * out));
}

// Whether output pixel i lies within the input pixel that its predecessor lies within.
bool repeats(std::size_t i, std::size_t in, std::size_t out) {
  return i > 0 && (i - 1) * in / out == ((i + 1) * in - 1) / out;
}

}  // namespace

void resize_area(const ImageView& image, std::size_t height, std::size_t width, std::uint8_t* out) {
  const std::size_t channels = image.channels, length = image.width * channels;
  const bool packed = has_packed_rows(image);
  std::vector<std::uint8_t> bytes(packed ? 0 : length);
  std::vector<std::uint32_t> columns(length);  // at most 255 * height: kMostResized leaves room
  const std::uint64_t area = std::uint64_t{image.height} * image.width;

  for (std::size_t i = 0; i < height; ++i) {
    if (repeats(i, image.height, height)) {  // keeps the time linear when only the width shrinks
      out = std::copy(out - width * channels, out, out);
      continue;
    }
    std::fill(columns.begin(), columns.end(), 0);
    for_each_overlap(i, image.height, height, [&](std::size_t k, std::size_t overlap) {
      const std::uint8_t* row = row_at(image, k);
      if (!packed) {
        read_bytes(image, static_cast<std::ptrdiff_t>(k), 0,
                   static_cast<std::ptrdiff_t>(image.width), bytes.data());
        row = bytes.data();
      }
      kernels().add_weighted_u8(row, static_cast<std::uint32_t>(overlap), length, columns.data());
    });
    for (std::size_t j = 0; j < width; ++j) {
      for (std::size_t c = 0; c < channels; ++c) {
        std::uint64_t sum = 0;
        for_each_overlap(j, image.width, width, [&](std::size_t k, std::size_t overlap) {
          sum += overlap * columns[k * channels + c];
        });
        *out++ = static_cast<std::uint8_t>((2 * sum + area) / (2 * area));
      }
    }
  }
}

}  // namespace imgsim
