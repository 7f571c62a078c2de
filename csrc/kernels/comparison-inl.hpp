// Sums over the bins of two histograms, compiled once per instruction set.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/portable-inl.hpp"

namespace {

using imgsim::kLanes;

// kLanes doubles as registers, or one by one.
#ifdef IMGSIM_VECTORS
using Part = Doubles;
constexpr std::size_t kParts = kLanes / kDoubles;

inline double sum_of_parts(Part* parts) {
  halve<kParts>(parts);
  return add_within(parts[0]);
}
#else
using Part = double;
constexpr std::size_t kParts = kLanes;

inline double sum_of_parts(const Part* parts) {
  return add_lanes(parts);
}
#endif
constexpr std::size_t kPartSize = sizeof(Part) / sizeof(double);

inline Part load_part(const double* p) {
  Part part;
  IMGSIM_MEMCPY(&part, p, sizeof part);
  return part;
}

inline Part filled(double x) {
  return Part{} + x;
}

inline Part roots(Part x) {
#ifdef IMGSIM_VECTORS
  double each[kPartSize];
  IMGSIM_MEMCPY(each, &x, sizeof each);
  for (std::size_t i = 0; i < kPartSize; ++i) each[i] = IMGSIM_SQRT(each[i]);
  return load_part(each);
#else
  return IMGSIM_SQRT(x);
#endif
}

// The last n < kLanes values, and `padding` behind them.
struct Rest {
  Rest(const double* x, std::size_t n, double padding) {
    for (std::size_t l = 0; l < kLanes; ++l) values[l] = l < n ? x[l] : padding;
  }
  double values[kLanes];
};

// ---- one histogram ---------------------------------------------------------------------------

struct OutlineParts {
  void take(const double* summed, const double* compared) {
    IMGSIM_UNROLL
    for (std::size_t k = 0; k < kParts; ++k) {
      const Part value = load_part(compared + k * kPartSize);
      sums[k] += load_part(summed + k * kPartSize);
      least[k] = value < least[k] ? value : least[k];
      largest[k] = value > largest[k] ? value : largest[k];
    }
  }

  Part sums[kParts], least[kParts], largest[kParts];
};

void outline(const double* x, std::size_t n, imgsim::Outline* out) {
  OutlineParts parts;
  for (std::size_t k = 0; k < kParts; ++k) {
    parts.sums[k] = Part{};
    parts.least[k] = filled(out->least);
    parts.largest[k] = filled(out->largest);
  }
  std::size_t j = 0;
  for (; j + kLanes <= n; j += kLanes) parts.take(x + j, x + j);
  if (j < n) parts.take(Rest(x + j, n - j, 0.0).values, Rest(x + j, n - j, x[j]).values);
  out->sum = sum_of_parts(parts.sums);
  double least[kLanes], largest[kLanes];
  IMGSIM_MEMCPY(least, parts.least, sizeof least);
  IMGSIM_MEMCPY(largest, parts.largest, sizeof largest);
  for (std::size_t l = 0; l < kLanes; ++l) {
    if (least[l] < out->least) out->least = least[l];
    if (largest[l] > out->largest) out->largest = largest[l];
  }
}

template <class Narrow>
void widen(const Narrow* x, std::size_t n, double* out) {
  for (std::size_t j = 0; j < n; ++j) out[j] = static_cast<double>(x[j]);
}

// ---- two histograms --------------------------------------------------------------------------

struct MomentParts {
  void take(const double* a, Part centre_a, const double* b, Part centre_b) {
    IMGSIM_UNROLL
    for (std::size_t k = 0; k < kParts; ++k) {
      const Part dx = load_part(a + k * kPartSize) - centre_a;
      const Part dy = load_part(b + k * kPartSize) - centre_b;
      x[k] += dx;
      y[k] += dy;
      xx[k] += dx * dx;
      yy[k] += dy * dy;
      xy[k] += dx * dy;
    }
  }

  Part x[kParts] = {}, y[kParts] = {}, xx[kParts] = {}, yy[kParts] = {}, xy[kParts] = {};
};

void centred_moments(const double* a, double centre_a, const double* b, double centre_b,
                     std::size_t n, imgsim::Moments* out) {
  MomentParts parts;
  const Part ca = filled(centre_a), cb = filled(centre_b);
  std::size_t j = 0;
  for (; j + kLanes <= n; j += kLanes) parts.take(a + j, ca, b + j, cb);
  if (j < n)
    parts.take(Rest(a + j, n - j, centre_a).values, ca, Rest(b + j, n - j, centre_b).values, cb);
  out->x = sum_of_parts(parts.x);
  out->y = sum_of_parts(parts.y);
  out->xx = sum_of_parts(parts.xx);
  out->yy = sum_of_parts(parts.yy);
  out->xy = sum_of_parts(parts.xy);
}

// Terms of p = a fa and q = b fb. A divisor of 0 leaves its bin out; two zeros always give 0.

struct Chi2 {
  static Part of(Part p, Part q) {
    const Part zero = Part{};
    const Part d = p != zero ? p - q : zero, divisor = p != zero ? p : filled(1.0);
    return d * (d / divisor);
  }
};

struct Chi2Alt {
  static Part of(Part p, Part q) {
    const Part zero = Part{}, sum = p + q;
    const Part d = sum != zero ? p - q : zero, divisor = sum != zero ? sum : filled(1.0);
    return d * (d / divisor);
  }
};

struct Smaller {
  static Part of(Part p, Part q) { return p < q ? p : q; }
};

struct RootGap {
  // (sqrt p - sqrt q)^2 = (p - q)^2 / (p + q + 2 sqrt(p q)): one root, and as accurate.
  static Part of(Part p, Part q) {
    const Part d = p - q, sum = p + q + 2.0 * roots(p * q);
    return d * (d / (sum != Part{} ? sum : filled(1.0)));
  }
};

template <class Term>
void take_terms(const double* a, Part fa, const double* b, Part fb, Part* sums) {
  IMGSIM_UNROLL
  for (std::size_t k = 0; k < kParts; ++k)
    sums[k] += Term::of(load_part(a + k * kPartSize) * fa, load_part(b + k * kPartSize) * fb);
}

template <class Term>
double sum_of(const double* a, double fa, const double* b, double fb, std::size_t n) {
  Part sums[kParts] = {};
  const Part times_a = filled(fa), times_b = filled(fb);
  std::size_t j = 0;
  for (; j + kLanes <= n; j += kLanes) take_terms<Term>(a + j, times_a, b + j, times_b, sums);
  if (j < n)
    take_terms<Term>(Rest(a + j, n - j, 0.0).values, times_a, Rest(b + j, n - j, 0.0).values,
                     times_b, sums);
  return sum_of_parts(sums);
}

// ---- p log(p / q) ----------------------------------------------------------------------------

#ifdef IMGSIM_VECTORS
typedef std::uint64_t PartBits __attribute__((vector_size(kVectorBytes)));
#else
using PartBits = std::uint64_t;
#endif

inline PartBits bits_of(Part x) {
  PartBits bits;
  IMGSIM_MEMCPY(&bits, &x, sizeof bits);
  return bits;
}

inline Part from_bits(PartBits bits) {
  Part x;
  IMGSIM_MEMCPY(&x, &bits, sizeof x);
  return x;
}

// log(p / q), to some 2^-52, for p, q and their ratio within kFarthest: it is 2^e x with x between
// the roots of 1/2 and 2, and log x = 2 artanh((x - 1) / (x + 1)), where p - q 2^e loses nothing.
constexpr double kFarthest = 1e300;

inline Part log_of_ratio(Part p, Part q, Part ratio) {
  constexpr std::uint64_t kOne = 0x3FF0000000000000, kRootOfHalf = 0x3FE6A09E667F3BCD;
  constexpr double kArtanh[] = {1.0 / 21, 1.0 / 19, 1.0 / 17, 1.0 / 15, 1.0 / 13,
                                1.0 / 11, 1.0 / 9,  1.0 / 7,  1.0 / 5,  1.0 / 3};
  constexpr double kLogHigh = 0x1.62e42feep-1, kLogLow = 0x1.a39ef35793c76p-33;  // of 2
  const PartBits biased = (bits_of(ratio) + (kOne - kRootOfHalf)) >> 52;         // e + 1023
  const Part e = from_bits(biased | bits_of(filled(0x1p52))) - (0x1p52 + 1023.0);
  const Part near = q * from_bits(biased << 52);
  const Part s = (p - near) / (p + near), z = s * s;
  Part sum = filled(kArtanh[0]);
  IMGSIM_UNROLL
  for (std::size_t k = 1; k < 10; ++k) sum = sum * z + kArtanh[k];
  return e * kLogHigh + (2.0 * s + (2.0 * s * z * sum + e * kLogLow));
}

inline Part smaller_of(Part a, Part b) {
  return a < b ? a : b;
}
inline Part larger_of(Part a, Part b) {
  return a > b ? a : b;
}

bool divergence(const double* a, double fa, const double* b, double fb, double missing,
                std::size_t n, double* sum) {
  Part sums[kParts] = {};
  const Part zero = Part{}, one = filled(1.0);
  Part least = one, largest = one;
  const auto take = [&](const double* x, const double* y) {
    IMGSIM_UNROLL
    for (std::size_t k = 0; k < kParts; ++k) {
      const Part in_a = load_part(x + k * kPartSize), in_b = load_part(y + k * kPartSize);
      const Part there = in_b != zero ? in_b * fb : filled(missing);
      const Part p = in_a != zero ? in_a * fa : one, q = in_a != zero ? there : one, ratio = p / q;
      least = smaller_of(smaller_of(p, q), smaller_of(ratio, least));
      largest = larger_of(larger_of(p, q), larger_of(ratio, largest));
      sums[k] += p * log_of_ratio(p, q, ratio);
    }
  };
  std::size_t j = 0;
  for (; j + kLanes <= n; j += kLanes) take(a + j, b + j);
  if (j < n) take(Rest(a + j, n - j, 0.0).values, Rest(b + j, n - j, 0.0).values);
  double ends[2][kPartSize];
  IMGSIM_MEMCPY(ends[0], &least, sizeof ends[0]);
  IMGSIM_MEMCPY(ends[1], &largest, sizeof ends[1]);
  for (std::size_t l = 0; l < kPartSize; ++l)
    if (!(ends[0][l] > 1 / kFarthest && ends[1][l] < kFarthest)) return false;
  *sum = sum_of_parts(sums);
  return true;
}

}  // namespace
