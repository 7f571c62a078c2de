#include "imgsim/lab.hpp"

namespace imgsim {
namespace {

// Halley's iterations: the relative error e becomes about (n^2 - 1) / 12 e^3 for the n-th root.
// std::cbrt and std::pow differ between libraries in the last bit; these do not.

// y in 0.0088 ... 1.1, as above the straight part of the curve.
double cube_root(double y) {
  double r = 0.32 + 0.72 * y;
  for (int i = 0; i < 5; ++i) {
    const double cube = r * r * r;
    r = r * (cube + 2 * y) / (2 * cube + y);
  }
  return r;
}

// y in 0.0081 ... 1.
double fifth_root(double y) {
  double r = 0.5 + 0.52 * y;
  for (int i = 0; i < 5; ++i) {
    const double square = r * r, fifth = square * square * r;
    r = r * (2 * fifth + 3 * y) / (3 * fifth + 2 * y);
  }
  return r;
}

// Light of a channel: ((c + 0.055) / 1.055)^2.4.
double linear(double c) {
  if (c <= 0.04045) return c / 12.92;
  const double v = (c + 0.055) / 1.055, square = v * v;
  return square * fifth_root(square);
}

double lightness_curve(double t) {
  return t > 0.008856 ? cube_root(t) : 7.787 * t + 16.0 / 116.0;
}

Lab lab_from_linear(double r, double g, double b) {
  const double x = lightness_curve((0.412453 * r + 0.357580 * g + 0.180423 * b) / 0.95047);
  const double y = lightness_curve(0.212671 * r + 0.715160 * g + 0.072169 * b);
  const double z = lightness_curve((0.019334 * r + 0.119193 * g + 0.950227 * b) / 1.08883);
  return {116 * y - 16, 500 * (x - y), 200 * (y - z)};
}

void store(const Lab& color, double* to) {
  to[0] = color.l;
  to[1] = color.a;
  to[2] = color.b;
}

}  // namespace

Lab lab_from_srgb(double r, double g, double b) {
  return lab_from_linear(linear(r), linear(g), linear(b));
}

void lab_from_srgb(const double* rgb, std::size_t pixels, double* lab) {
  for (std::size_t i = 0; i < 3 * pixels; i += 3)
    store(lab_from_srgb(rgb[i], rgb[i + 1], rgb[i + 2]), lab + i);
}

void lab_from_srgb(const std::uint8_t* rgb, std::size_t pixels, double* lab) {
  double light[256];
  for (int level = 0; level < 256; ++level) light[level] = linear(level / 255.0);
  for (std::size_t i = 0; i < 3 * pixels; i += 3)
    store(lab_from_linear(light[rgb[i]], light[rgb[i + 1]], light[rgb[i + 2]]), lab + i);
}

}  // namespace imgsim
