// Loops on cumulative distributions, compiled once per instruction set.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/portable-inl.hpp"

namespace {

using imgsim::kLanes;

constexpr double kSmallestTotal = 0x1p-100;
constexpr double kLargestTotal = 0x1p100;

bool any_sign_bit(const double* masses, std::size_t n) {
  std::uint64_t bits = 0;
  for (std::size_t i = 0; i < n; ++i) {
    std::uint64_t word;
    IMGSIM_MEMCPY(&word, masses + i, sizeof word);
    bits |= word;
  }
  return (bits >> 63) != 0;
}

// R rows side by side: their sums do not wait for each other.
template <std::size_t R, class Mass>
void cumulate_rows(const Mass* rows, std::size_t row_stride, std::size_t cols, double* cdf,
                   std::size_t cdf_stride, double* totals) {
  double sum[R] = {};
  for (std::size_t j = 0; j < cols; ++j) {
    for (std::size_t r = 0; r < R; ++r) {
      sum[r] += static_cast<double>(rows[r * row_stride + j]);
      cdf[r * cdf_stride + j] = sum[r];
    }
  }
  for (std::size_t r = 0; r < R; ++r) {
    for (std::size_t j = cols; j < cdf_stride; ++j) cdf[r * cdf_stride + j] = 0.0;
    totals[r] = sum[r];
  }
}

template <class Mass>
void cumulate(const Mass* rows, std::size_t row_stride, std::size_t rows_n, std::size_t cols,
              double* cdf, std::size_t cdf_stride, double* totals) {
  std::size_t r = 0;
  for (; r + 8 <= rows_n; r += 8)
    cumulate_rows<8>(rows + r * row_stride, row_stride, cols, cdf + r * cdf_stride, cdf_stride,
                     totals + r);
  for (; r < rows_n; ++r)
    cumulate_rows<1>(rows + r * row_stride, row_stride, cols, cdf + r * cdf_stride, cdf_stride,
                     totals + r);
}

void cumulate_two(const double* a, const double* b, std::size_t cols, double* cdf,
                  std::size_t cdf_stride, double* totals) {
  double* cdf_b = cdf + cdf_stride;
  double sum_a = 0.0, sum_b = 0.0;
  for (std::size_t j = 0; j < cols; ++j) {
    cdf[j] = sum_a += a[j];
    cdf_b[j] = sum_b += b[j];
  }
  for (std::size_t j = cols; j < cdf_stride; ++j) cdf[j] = cdf_b[j] = 0.0;
  totals[0] = sum_a;
  totals[1] = sum_b;
}

// The common scale of two distributions: A fa and B fb end at den.
struct Scale {
  double fa, fb, den;
};
inline Scale common_scale(double total_a, double total_b) {
  if (total_a == total_b) return {1.0, 1.0, total_a};
  return {total_b, total_a, total_a * total_b};
}

#ifdef IMGSIM_VECTORS

template <bool Weighted>
double w1_pair(const double* a, double fa, const double* b, double fb, const double* widths,
               std::size_t stride) {
  constexpr std::size_t kVectors = kLanes / kDoubles;
  const Doubles times_a = broadcast(fa), times_b = broadcast(fb);
  Doubles lanes[kVectors] = {};
  for (std::size_t j = 0; j < stride; j += kLanes) {
    IMGSIM_UNROLL
    for (std::size_t v = 0; v < kVectors; ++v) {
      const std::size_t at = j + v * kDoubles;
      Doubles term = magnitudes(load_doubles(a + at) * times_a - load_doubles(b + at) * times_b);
      if (Weighted) term *= load_doubles(widths + at);
      lanes[v] += term;
    }
  }
  halve<kVectors>(lanes);
  return add_within(lanes[0]);
}

// Short rows: vectors hold one bin of kDoubles rows, so nothing is added within a register at all.
template <std::size_t Cols>
std::size_t w1_short_rows_of(const double* cdf_a, double total_a, const double* rows,
                             std::size_t rows_n, double* out) {
  const Doubles totals_a = broadcast(total_a), one = broadcast(1.0);
  std::size_t done = 0;
  for (; done + kDoubles <= rows_n; done += kDoubles) {
    const double* block = rows + done * Cols;
    Doubles cdf_b[Cols];
    Doubles sum = {};
    Bits bits = {};
    IMGSIM_UNROLL
    for (std::size_t j = 0; j < Cols; ++j) {
      const Doubles mass = load_strided(block + j, Cols);
      bits |= reinterpret_cast<Bits>(mass);
      sum += mass;
      cdf_b[j] = sum;
    }
    const Bits refused = (bits < 0) | ~(sum >= kSmallestTotal) | (sum > kLargestTotal);
    std::int64_t any = 0;
    IMGSIM_UNROLL
    for (std::size_t r = 0; r < kDoubles; ++r) any |= refused[r];
    if (any != 0) break;
    const Bits equal = sum == totals_a;
    const Doubles fa = equal ? one : sum, fb = equal ? one : totals_a,
                  den = equal ? totals_a : totals_a * sum;
    Doubles terms[Cols];
    IMGSIM_UNROLL
    for (std::size_t j = 0; j < Cols; ++j) terms[j] = magnitudes(cdf_a[j] * fa - cdf_b[j] * fb);
    halve<kLanes, Cols>(terms);
    store_doubles(out + done, terms[0] / den);
  }
  return done;
}

template <std::size_t Cols>
std::size_t w1_short_rows_upto(const double* cdf_a, double total_a, const double* rows,
                               std::size_t rows_n, std::size_t cols, double* out) {
  if (cols == Cols) return w1_short_rows_of<Cols>(cdf_a, total_a, rows, rows_n, out);
  if constexpr (Cols > 1)
    return w1_short_rows_upto<Cols - 1>(cdf_a, total_a, rows, rows_n, cols, out);
  return 0;
}

std::size_t w1_short_rows(const double* cdf_a, double total_a, const double* rows,
                          std::size_t rows_n, std::size_t cols, double* out) {
  return w1_short_rows_upto<kLanes>(cdf_a, total_a, rows, rows_n, cols, out);
}

#else

inline double magnitude(double x) {
  return IMGSIM_FABS(x);
}

template <bool Weighted>
double w1_pair(const double* a, double fa, const double* b, double fb, const double* widths,
               std::size_t stride) {
  double lanes[kLanes] = {};
  for (std::size_t j = 0; j < stride; j += kLanes) {
    for (std::size_t l = 0; l < kLanes; ++l) {
      double term = magnitude(a[j + l] * fa - b[j + l] * fb);
      if (Weighted) term *= widths[j + l];
      lanes[l] += term;
    }
  }
  return add_lanes(lanes);
}

std::size_t w1_short_rows(const double*, double, const double*, std::size_t, std::size_t, double*) {
  return 0;
}

#endif

template <bool Weighted>
void w1_rows(const double* cdf_a, double total_a, const double* cdfs_b, std::size_t stride,
             const double* totals_b, const double* widths, std::size_t rows_n, double* out) {
  for (std::size_t r = 0; r < rows_n; ++r) {
    const Scale scale = common_scale(total_a, totals_b[r]);
    const double* cdf_b = cdfs_b + r * stride;
    out[r] = w1_pair<Weighted>(cdf_a, scale.fa, cdf_b, scale.fb, widths, stride) / scale.den;
  }
}

void w1_one_to_many(const double* cdf_a, double total_a, const double* cdfs_b, std::size_t stride,
                    const double* totals_b, const double* widths, std::size_t rows_n, double* out) {
  if (widths == nullptr)
    w1_rows<false>(cdf_a, total_a, cdfs_b, stride, totals_b, widths, rows_n, out);
  else
    w1_rows<true>(cdf_a, total_a, cdfs_b, stride, totals_b, widths, rows_n, out);
}

}  // namespace
