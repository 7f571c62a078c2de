// The few colours of an image: weighted k-means in CIELAB over the cells of its joint histogram.
// Nothing is random, and nothing depends on the machine; see lab.hpp.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "imgsim/parallel.hpp"
#include "imgsim/views.hpp"

namespace imgsim {

struct PaletteOptions {
  std::size_t colors = 16;     // at most so many entries; at least 1
  double position_weight = 0;  // distance of two pixels that lie the image's longer side apart;
                               // finite, 0: places do not matter
};

// Entries by falling count; equal counts in the order in which the colours were chosen.
struct Palette {
  bool cancelled = false;            // then nothing below is filled
  std::size_t dims = 3;              // 3: (L, a, b); 5: (L, a, b, x, y)
  std::vector<std::int64_t> counts;  // pixels of each entry, at least one
  std::vector<double> points;        // counts.size() x dims: the mean of the entry's cells
  std::vector<std::uint8_t> rgb;     // counts.size() x 3: the mean of the entry's pixels, rounded
};

// rgb: 8-bit, 3 or more channels, at least one pixel, any strides.
//
// 1. Cells: 32 levels a channel, or, with positions, 16 levels a channel times squares of an eighth
//    of the longer side. A cell's point is that of its mean pixel, from whole-number sums.
// 2. Start: the fullest cell; then, again and again, the cell with the greatest count times squared
//    distance to what is chosen, until there are `colors` or nothing is left. Ties: lower key.
// 3. Lloyd's iterations (1982) until no cell changes its entry, at most 100; ties: the entry chosen
//    first. An entry that has lost all its cells stays where it is and, if it gets none again, is
//    left out.
//
// O(pixels + cells * colors * iterations); cells: at most 32768, or 262144 with positions.
Palette color_palette(const ImageView& rgb, const PaletteOptions& options, const Cancel& cancel);

}  // namespace imgsim
