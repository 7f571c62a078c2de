// Grey from RGB by one fixed integer formula, the ITU-R 601-2 luma in 16-bit fixed point:
//   grey = (19595 R + 38470 G + 7471 B + 32768) >> 16
// Equal to Pillow's convert("L"), and the identity where R = G = B.
#pragma once

#include <cstddef>
#include <cstdint>

#include "imgsim/views.hpp"

namespace imgsim {

// rgb: 8-bit, channels >= 3 (R, G, B first). out: height * width bytes, row by row.
void grey_from_rgb(const ImageView& rgb, std::uint8_t* out);

}  // namespace imgsim
