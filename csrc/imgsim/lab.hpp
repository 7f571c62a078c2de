// CIELAB (D65, 2 degrees) of sRGB colours, IEC 61966-2-1 and CIE 15, with the constants that are
// usual in software (matrix of six digits, white 0.95047 1 1.08883, thresholds 0.04045, 0.008856).
// Only operations that IEEE 754 rounds correctly: the same bits on every machine and library.
#pragma once

#include <cstddef>
#include <cstdint>

namespace imgsim {

struct Lab {
  double l;  // 0 ... 100
  double a;  // about -86 ... 98, green to red
  double b;  // about -108 ... 94, blue to yellow
};

// Each channel 0 ... 1, as in the file (not linear).
Lab lab_from_srgb(double r, double g, double b);

// `pixels` triples r, g, b -> triples L, a, b. Bytes are levels 0 ... 255. O(pixels).
void lab_from_srgb(const double* rgb, std::size_t pixels, double* lab);
void lab_from_srgb(const std::uint8_t* rgb, std::size_t pixels, double* lab);

}  // namespace imgsim
