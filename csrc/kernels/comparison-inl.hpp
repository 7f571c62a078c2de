// Sums over the bins of two histograms, compiled once per instruction set. Like all sums they run
// over kLanes lanes that are then halved, so all instruction sets agree bit for bit.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/portable-inl.hpp"

namespace {

using imgsim::kLanes;

inline double fold(const double* lanes) {
  double eight[8], four[4];
  for (std::size_t l = 0; l < 8; ++l) eight[l] = lanes[l] + lanes[l + 8];
  for (std::size_t l = 0; l < 4; ++l) four[l] = eight[l] + eight[l + 4];
  return (four[0] + four[2]) + (four[1] + four[3]);
}

void outline(const double* x, std::size_t n, imgsim::Outline* out) {
  double sums[kLanes] = {}, least[kLanes], largest[kLanes];
  for (std::size_t l = 0; l < kLanes; ++l) {
    least[l] = out->least;
    largest[l] = out->largest;
  }
  const auto take = [&](std::size_t l, double value) {
    sums[l] += value;
    least[l] = value < least[l] ? value : least[l];
    largest[l] = value > largest[l] ? value : largest[l];
  };
  std::size_t j = 0;
  for (; j + kLanes <= n; j += kLanes)
    for (std::size_t l = 0; l < kLanes; ++l) take(l, x[j + l]);
  for (std::size_t l = 0; j + l < n; ++l) take(l, x[j + l]);
  out->sum = fold(sums);
  for (std::size_t l = 0; l < kLanes; ++l) {
    if (least[l] < out->least) out->least = least[l];
    if (largest[l] > out->largest) out->largest = largest[l];
  }
}

template <class Narrow>
void widen(const Narrow* x, std::size_t n, double* out) {
  for (std::size_t j = 0; j < n; ++j) out[j] = static_cast<double>(x[j]);
}

void centred_moments(const double* a, double centre_a, const double* b, double centre_b,
                     std::size_t n, imgsim::Moments* out) {
  double x[kLanes] = {}, y[kLanes] = {}, xx[kLanes] = {}, yy[kLanes] = {}, xy[kLanes] = {};
  const auto take = [&](std::size_t l, double value_a, double value_b) {
    const double dx = value_a - centre_a, dy = value_b - centre_b;
    x[l] += dx;
    y[l] += dy;
    xx[l] += dx * dx;
    yy[l] += dy * dy;
    xy[l] += dx * dy;
  };
  std::size_t j = 0;
  for (; j + kLanes <= n; j += kLanes)
    for (std::size_t l = 0; l < kLanes; ++l) take(l, a[j + l], b[j + l]);
  for (std::size_t l = 0; j + l < n; ++l) take(l, a[j + l], b[j + l]);
  out->x = fold(x);
  out->y = fold(y);
  out->xx = fold(xx);
  out->yy = fold(yy);
  out->xy = fold(xy);
}

// ---- terms of p = a fa and q = b fb; a divisor of 0 leaves its bin out ------------------------

struct Chi2 {
  static double of(double p, double q) {
    const double d = p != 0.0 ? p - q : 0.0, divisor = p != 0.0 ? p : 1.0;
    return d * (d / divisor);
  }
};

struct Chi2Alt {
  static double of(double p, double q) {
    const double sum = p + q;
    const double d = sum != 0.0 ? p - q : 0.0, divisor = sum != 0.0 ? sum : 1.0;
    return d * (d / divisor);
  }
};

struct Smaller {
  static double of(double p, double q) { return p < q ? p : q; }
};

struct RootGap {
  static double of(double p, double q) {
    const double d = IMGSIM_SQRT(p) - IMGSIM_SQRT(q);
    return d * d;
  }
};

template <class Term>
double sum_of(const double* a, double fa, const double* b, double fb, std::size_t n) {
  double lanes[kLanes] = {};
  std::size_t j = 0;
  for (; j + kLanes <= n; j += kLanes)
    for (std::size_t l = 0; l < kLanes; ++l) lanes[l] += Term::of(a[j + l] * fa, b[j + l] * fb);
  for (std::size_t l = 0; j + l < n; ++l) lanes[l] += Term::of(a[j + l] * fa, b[j + l] * fb);
  return fold(lanes);
}

}  // namespace
