#include "imgsim/grey.hpp"

#include "grey_rows.hpp"

namespace imgsim {

void grey_from_rgb(const ImageView& rgb, std::uint8_t* out) {
  const ImageView rows = flattened(rgb);
  for (std::size_t y = 0; y < rows.height; ++y)
    grey_stretch(rows, y, 0, rows.width, out + y * rows.width);
}

}  // namespace imgsim
