// Structural similarity and area sums, compiled once per instruction set. Columns are summed in
// integers, or each element in an order of its own, so every register width gives the same bits.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/portable-inl.hpp"

namespace {

using imgsim::BoxRow;
using imgsim::FilteredRow;
using imgsim::kBoxChunk;
using imgsim::kMostPacked;
using imgsim::RowPair;
using imgsim::SsimConstants;

// Chunks of the longer loops: what they write stays in the first-level cache.
constexpr std::size_t kChunk = 512;

inline std::int32_t product(std::uint8_t a, std::uint8_t b) {
  return static_cast<std::uint16_t>(a * b);  // 16 bits: twice as many at a time
}

// The pointers are arguments because gcc believes __restrict of those alone. Packed: sums of x in
// the lower half of sum_x, of y in the upper half.
template <bool Packed>
void slide(const std::uint8_t* __restrict x, const std::uint8_t* __restrict y,
           const std::uint8_t* __restrict x_old, const std::uint8_t* __restrict y_old,
           std::size_t n, std::int32_t* __restrict sum_x, std::int32_t* __restrict sum_y,
           std::int32_t* __restrict squares, std::int32_t* __restrict products) {
  for (std::size_t j = 0; j < n; ++j) {
    if (Packed) {
      sum_x[j] += (x[j] | y[j] << 16) - (x_old[j] | y_old[j] << 16);
    } else {
      sum_x[j] += x[j] - x_old[j];
      sum_y[j] += y[j] - y_old[j];
    }
    squares[j] += (product(x[j], x[j]) + product(y[j], y[j])) -
                  (product(x_old[j], x_old[j]) + product(y_old[j], y_old[j]));
    products[j] += product(x[j], y[j]) - product(x_old[j], y_old[j]);
  }
}

void slide_columns(const RowPair& enter, const RowPair& leave, std::size_t n, std::size_t win,
                   std::int32_t* const* columns) {
  (win <= kMostPacked ? slide<true> : slide<false>)(enter.x, enter.y, leave.x, leave.y, n,
                                                    columns[0], columns[1], columns[2], columns[3]);
}

void add_shifted(const std::int32_t* __restrict a, const std::int32_t* __restrict b, std::size_t n,
                 std::int32_t* __restrict out) {
  for (std::size_t j = 0; j < n; ++j) out[j] = a[j] + b[j];
}

void add_to(const std::int32_t* __restrict in, std::size_t n, std::int32_t* __restrict out) {
  for (std::size_t j = 0; j < n; ++j) out[j] += in[j];
}

// out[j] = sum of `win` (odd) elements, `step` apart, from in[j] on: sums of 2, 4, 8 ... elements,
// of which those that the binary digits of `win` name are put one after the other. scratch: 2 (n +
// (win - 1) step).
void box_sums(const std::int32_t* in, std::size_t n, std::size_t win, std::size_t step,
              std::int32_t* scratch, std::int32_t* out) {
  const std::size_t all = n + (win - 1) * step;
  std::int32_t *next = scratch, *other = scratch + all;
  IMGSIM_MEMCPY(out, in, n * sizeof *in);
  std::size_t covered = 1;
  for (std::size_t width = 1; 2 * width <= win; width *= 2) {
    add_shifted(in, in + width * step, all - (2 * width - 1) * step, next);
    if ((win & (2 * width)) != 0) {
      add_to(next + covered * step, n, out);
      covered += 2 * width;
    }
    in = next;
    next = other;
    other = const_cast<std::int32_t*>(in);
  }
}

void unpack(std::size_t n, std::int32_t* __restrict both, std::int32_t* __restrict y) {
  for (std::size_t j = 0; j < n; ++j) {
    y[j] = both[j] >> 16;
    both[j] &= 0xFFFF;
  }
}

// Similarity of a window from the sums over it, all times the square of its area.
inline double similarity(double x, double y, double squares, double products, double area,
                         double c1, double c2) {
  const double means = x * x + y * y, mean = 2 * (x * y);
  return ((mean + c1) * ((2 * area * products - mean) + c2)) /
         ((means + c1) * ((area * squares - means) + c2));
}

template <bool Map>
void similarities(const std::int32_t* __restrict x, const std::int32_t* __restrict y,
                  const std::int32_t* __restrict squares, const std::int32_t* __restrict products,
                  std::size_t n, double area, SsimConstants constants, double* __restrict totals,
                  double* __restrict map) {
  for (std::size_t j = 0; j < n; ++j) {
    const double s =
        similarity(x[j], y[j], squares[j], products[j], area, constants.c1, constants.c2);
    totals[j] += s;
    if (Map) map[j] = s;
  }
}

template <bool Map>
void any_windows(const BoxRow& row, SsimConstants constants, double* totals, double* map) {
  const std::size_t halo = (row.win - 1) * row.step;
  const std::size_t chunk = halo < kBoxChunk ? kBoxChunk : halo;
  for (std::size_t begin = 0; begin < row.n; begin += chunk) {
    const std::size_t n = row.n - begin < chunk ? row.n - begin : chunk;
    std::int32_t* sums = row.scratch;
    for (std::size_t m = 0; m < 4; ++m)
      box_sums(row.columns[m] + begin, n, row.win, row.step, sums + 4 * n, sums + m * n);
    if (row.win <= kMostPacked) unpack(n, sums, sums + n);
    similarities<Map>(sums, sums + n, sums + 2 * n, sums + 3 * n, n, row.area, constants,
                      totals + begin, Map ? map + begin : nullptr);
  }
}

inline std::int32_t sum_of_seven(const std::int32_t* p, std::size_t step) {
  return ((p[0] + p[step]) + (p[2 * step] + p[3 * step])) +
         ((p[4 * step] + p[5 * step]) + p[6 * step]);
}

// The usual window in one pass: the sums stay in registers, and adding overlaps with division.
template <bool Map>
void windows_of_seven(const std::int32_t* __restrict x_and_y,
                      const std::int32_t* __restrict squares,
                      const std::int32_t* __restrict products, std::size_t n, std::size_t step,
                      SsimConstants constants, double* __restrict totals, double* __restrict map) {
  for (std::size_t j = 0; j < n; ++j) {
    const std::int32_t means = sum_of_seven(x_and_y + j, step);
    const double s = similarity(means & 0xFFFF, means >> 16, sum_of_seven(squares + j, step),
                                sum_of_seven(products + j, step), 49, constants.c1, constants.c2);
    totals[j] += s;
    if (Map) map[j] = s;
  }
}

template <bool Map>
void row_of_windows(const BoxRow& row, SsimConstants constants, double* totals, double* map) {
  const std::int32_t* const* c = row.columns;
  if (row.win == 7)
    windows_of_seven<Map>(c[0], c[2], c[3], row.n, row.step, constants, totals, map);
  else
    any_windows<Map>(row, constants, totals, map);
}

void box_row(const BoxRow& row, const SsimConstants& constants, double* totals, double* map) {
  if (map == nullptr)
    row_of_windows<false>(row, constants, totals, nullptr);
  else
    row_of_windows<true>(row, constants, totals, map);
}

// ---- any weights -----------------------------------------------------------------------------

void square_rows(const double* __restrict x, const double* __restrict y, std::size_t n,
                 double* __restrict squares, double* __restrict products) {
  for (std::size_t j = 0; j < n; ++j) {
    squares[j] = x[j] * x[j] + y[j] * y[j];
    products[j] = x[j] * y[j];
  }
}

void weighted_sum(const double* const* rows, const double* weights, std::size_t radius,
                  std::size_t n, double* out) {
  for (std::size_t begin = 0; begin < n; begin += kChunk) {
    const std::size_t count = n - begin < kChunk ? n - begin : kChunk;
    double* __restrict sum = out + begin;
    const double* centre = rows[radius] + begin;
    for (std::size_t j = 0; j < count; ++j) sum[j] = weights[radius] * centre[j];
    for (std::size_t k = 1; k <= radius; ++k) {
      const double* __restrict before = rows[radius - k] + begin, * __restrict after =
                                                                      rows[radius + k] + begin;
      const double weight = weights[radius + k];
      for (std::size_t j = 0; j < count; ++j) sum[j] += weight * (before[j] + after[j]);
    }
  }
}

template <bool Map>
void filtered_similarity(const FilteredRow& row, const SsimConstants& constants,
                         double* __restrict totals, double* __restrict map) {
  const double* __restrict mean_x = row.maps[0], * __restrict mean_y = row.maps[1];
  const double* __restrict squares = row.maps[2], * __restrict products = row.maps[3];
  const double c1 = constants.c1, c2 = constants.c2;
  const double norm = row.covariance_norm, noise = row.noise, shift = row.shift;
  for (std::size_t j = 0; j < row.n; ++j) {
    const double x = mean_x[j], y = mean_y[j];
    double variances = squares[j] - (x * x + y * y), covariance = 2 * (products[j] - x * y);
    // Rounding may not make a variance negative, nor a covariance larger than variances allow.
    variances = variances > noise * squares[j] ? variances : 0.0;
    covariance = covariance < variances ? covariance : variances;
    covariance = covariance > -variances ? covariance : -variances;
    const double u = x + shift, v = y + shift;
    double s = ((2 * (u * v) + c1) * (norm * covariance + c2)) /
               ((u * u + v * v + c1) * (norm * variances + c2));
    s = 1.0 < s ? 1.0 : s;  // NaN stays
    s = -1.0 > s ? -1.0 : s;
    totals[j] += s;
    if (Map) map[j] = s;
  }
}

void filtered_row(const FilteredRow& row, const SsimConstants& constants, double* totals,
                  double* map) {
  if (map == nullptr)
    filtered_similarity<false>(row, constants, totals, nullptr);
  else
    filtered_similarity<true>(row, constants, totals, map);
}

// ---- area interpolation ----------------------------------------------------------------------

void add_weighted_u8(const std::uint8_t* __restrict row, std::uint32_t weight, std::size_t n,
                     std::uint32_t* __restrict sums) {
  for (std::size_t j = 0; j < n; ++j) sums[j] += weight * row[j];
}

}  // namespace
