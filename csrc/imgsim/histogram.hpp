// Counts of pixels in equal bins, with NumPy's edge rule: bin i holds edges[i] <= v < edges[i+1],
// the last bin is closed, values outside [first, last] and NaN are not counted.
//
// All functions ADD to `counts`. Any strides; a mask selects pixels. No allocation beyond fixed
// scratch per thread. O(pixels); for 8 bits about 0.06 ns per pixel at 10 bins with AVX-512.
#pragma once

#include <cstdint>
#include <vector>

#include "imgsim/parallel.hpp"
#include "imgsim/views.hpp"

namespace imgsim {

enum class PixelType { u8, u16, f32, f64 };

// edges: bins + 1 values of numpy.linspace(first, last, bins + 1), computed in float32 and widened
// if single_precision (as numpy.histogram does for float32 pixels), else in float64.
struct BinAxis {
  double first = 0;
  double last = 0;
  std::size_t bins = 0;
  const double* edges = nullptr;
  bool single_precision = false;
};

// counts[bins]: one-channel image, as numpy.histogram counts.
void histogram(const ImageView& image, PixelType type, const MaskView& mask, const BinAxis& axis,
               std::int64_t* counts);

// counts[bins_0 * ... * bins_c-1], last channel fastest, as numpy.histogramdd counts;
// one axis per channel, edges in float64.
void histogram_joint(const ImageView& image, PixelType type, const MaskView& mask,
                     Span<const BinAxis> axes, std::int64_t* counts);

// counts[bins] of the grey values (see grey.hpp) of an 8-bit image with channels >= 3.
void histogram_grey(const ImageView& rgb, const BinAxis& axis, std::int64_t* counts);

// counts[images.size() * bins]: one row per image; false when cancelled.
bool histograms(const std::vector<ImageView>& images, PixelType type, const BinAxis& axis,
                std::size_t threads, const Cancel& cancel, std::int64_t* counts);

}  // namespace imgsim
