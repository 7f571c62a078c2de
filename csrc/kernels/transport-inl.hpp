// Loops of the transport solver, compiled once per instruction set. Rows of costs are padded with
// infinity to a multiple of kColumns, so no loop has a tail. Minima do not depend on the order in
// which they are taken, and ties go to the lower column: all instruction sets agree bit for bit.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/portable-inl.hpp"

namespace {

using imgsim::CostScan;
using imgsim::kColumns;
using imgsim::PathSearch;

constexpr double kInfinity = __builtin_huge_val();

// A search ends at the first column that is free.
constexpr std::int32_t kFreeColumn = -1;

enum class Norm { sum, largest, squares };

#ifdef IMGSIM_VECTORS

typedef float Singles __attribute__((vector_size(kVectorBytes)));
typedef std::int32_t SingleBits __attribute__((vector_size(kVectorBytes)));

inline Doubles smaller(Doubles a, Doubles b) {
  return a < b ? a : b;
}
inline Doubles larger(Doubles a, Doubles b) {
  return a > b ? a : b;
}

inline double least_within(__attribute__((vector_size(16))) double v) {
  const double a = v[0], b = v[1];
  return a < b ? a : b;
}
inline float least_within(__attribute__((vector_size(16))) float v) {
  const float a = v[0] < v[1] ? v[0] : v[1], b = v[2] < v[3] ? v[2] : v[3];
  return a < b ? a : b;
}
template <class Vector>
auto least_within(Vector v) {
  if constexpr (sizeof(Vector) == 64 && sizeof(v[0]) == 8) {
    const auto low = __builtin_shufflevector(v, v, 0, 1, 2, 3),
               high = __builtin_shufflevector(v, v, 4, 5, 6, 7);
    return least_within(low < high ? low : high);
  } else if constexpr (sizeof(Vector) == 64) {
    const auto low = __builtin_shufflevector(v, v, 0, 1, 2, 3, 4, 5, 6, 7),
               high = __builtin_shufflevector(v, v, 8, 9, 10, 11, 12, 13, 14, 15);
    return least_within(low < high ? low : high);
  } else if constexpr (sizeof(v[0]) == 8) {
    const auto low = __builtin_shufflevector(v, v, 0, 1),
               high = __builtin_shufflevector(v, v, 2, 3);
    return least_within(low < high ? low : high);
  } else {
    const auto low = __builtin_shufflevector(v, v, 0, 1, 2, 3),
               high = __builtin_shufflevector(v, v, 4, 5, 6, 7);
    return least_within(low < high ? low : high);
  }
}

// Bit l is set where lane l of a comparison holds.
inline unsigned lanes_that_hold(Bits truth) {
#if defined(__AVX512DQ__)
  typedef long long Words __attribute__((vector_size(kVectorBytes)));
  return __builtin_ia32_cvtq2mask512(reinterpret_cast<Words>(truth));
#elif defined(__AVX2__)
  return static_cast<unsigned>(__builtin_ia32_movmskpd256(reinterpret_cast<Doubles>(truth)));
#elif defined(__SSE2__)
  return static_cast<unsigned>(__builtin_ia32_movmskpd(reinterpret_cast<Doubles>(truth)));
#else
  unsigned lanes = 0;
  for (std::size_t l = 0; l < kDoubles; ++l) lanes |= static_cast<unsigned>(truth[l] & 1) << l;
  return lanes;
#endif
}

inline unsigned singles_that_hold(SingleBits truth) {
#if defined(__AVX512DQ__)
  return __builtin_ia32_cvtd2mask512(truth);
#elif defined(__AVX2__)
  return static_cast<unsigned>(__builtin_ia32_movmskps256(reinterpret_cast<Singles>(truth)));
#elif defined(__SSE2__)
  return static_cast<unsigned>(__builtin_ia32_movmskps(reinterpret_cast<Singles>(truth)));
#else
  unsigned lanes = 0;
  for (std::size_t l = 0; l < 2 * kDoubles; ++l) lanes |= static_cast<unsigned>(truth[l] & 1) << l;
  return lanes;
#endif
}

inline Bits load_bits(const std::int64_t* p) {
  Bits v;
  IMGSIM_MEMCPY(&v, p, sizeof v);
  return v;
}
inline Bits lane_numbers() {
  Bits v = {};
  for (std::size_t l = 0; l < kDoubles; ++l) v[l] = static_cast<std::int64_t>(l);
  return v;
}

// One vector of double or single precision.
template <class Vector, class Real>
Vector load_vector(const Real* p) {
  Vector v;
  IMGSIM_MEMCPY(&v, p, sizeof v);
  return v;
}

template <class Vector, std::size_t R, class Real>
void minima_of(const Real* costs, std::size_t stride, const Real* v, std::size_t m, Real* out) {
  constexpr std::size_t kStep = sizeof(Vector) / sizeof(Real);
  Vector least[R];
  IMGSIM_UNROLL
  for (std::size_t r = 0; r < R; ++r) least[r] = Vector{} + static_cast<Real>(kInfinity);
  for (std::size_t j = 0; j < m; j += kStep) {
    const auto of_column = load_vector<Vector>(v + j);
    IMGSIM_UNROLL
    for (std::size_t r = 0; r < R; ++r) {
      const Vector reduced = load_vector<Vector>(costs + r * stride + j) - of_column;
      least[r] = reduced < least[r] ? reduced : least[r];
    }
  }
  IMGSIM_UNROLL
  for (std::size_t r = 0; r < R; ++r) out[r] = least_within(least[r]);
}

template <class Vector, class Real>
void minima_with(const Real* costs, std::size_t stride, std::size_t rows, const Real* v,
                 std::size_t m, Real* out) {
  std::size_t r = 0;
  for (; r + 4 <= rows; r += 4) minima_of<Vector, 4>(costs + r * stride, stride, v, m, out + r);
  for (; r < rows; ++r) minima_of<Vector, 1>(costs + r * stride, stride, v, m, out + r);
}

void minima(const double* costs, std::size_t stride, std::size_t rows, const double* v,
            std::size_t m, double* out) {
  minima_with<Doubles>(costs, stride, rows, v, m, out);
}

void minima_single(const float* costs, std::size_t stride, std::size_t rows, const float* v,
                   std::size_t m, float* out) {
  minima_with<Singles>(costs, stride, rows, v, m, out);
}

std::size_t find_difference(const double* costs, const double* v, std::size_t m, double value) {
  const Doubles wanted = broadcast(value);
  for (std::size_t j = 0; j < m; j += kDoubles) {
    const unsigned lanes = lanes_that_hold(load_doubles(costs + j) - load_doubles(v + j) == wanted);
    if (lanes != 0) return j + static_cast<std::size_t>(__builtin_ctz(lanes));
  }
  return m;
}

std::size_t find_single(const float* costs, const float* v, std::size_t m, float value) {
  const Singles wanted = Singles{} + value;
  for (std::size_t j = 0; j < m; j += 2 * kDoubles) {
    const unsigned lanes =
        singles_that_hold(load_vector<Singles>(costs + j) - load_vector<Singles>(v + j) == wanted);
    if (lanes != 0) return j + static_cast<std::size_t>(__builtin_ctz(lanes));
  }
  return m;
}

// Calls change(first) for every eight values of which one has its bit set, after adding delta.
template <class Change>
inline void add_in_eights(const std::uint64_t* bits, std::size_t words, double delta,
                          double* values, const Change& change) {
  const Bits lane_bit = (Bits{} + 1) << lane_numbers();
  const Doubles step = broadcast(delta);
  for (std::size_t w = 0; w < words; ++w) {
    std::size_t at = w * 64;
    for (std::uint64_t word = bits[w]; word != 0; word >>= 8, at += 8) {
      if ((word & 255) == 0) continue;
      IMGSIM_UNROLL
      for (std::size_t l = 0; l < 8; l += kDoubles) {
        const Bits here = Bits{} + static_cast<std::int64_t>((word & 255) >> l);
        const Doubles old = load_doubles(values + at + l);
        store_doubles(values + at + l, (here & lane_bit) != 0 ? old + step : old);
      }
      change(at);
    }
  }
}

void add_where(const std::uint64_t* bits, std::size_t words, double delta, double* values) {
  add_in_eights(bits, words, delta, values, [](std::size_t) {});
}

void add_where_single(const std::uint64_t* bits, std::size_t words, double delta, double factor,
                      double* values, float* rounded) {
  add_in_eights(bits, words, delta, values, [=](std::size_t at) {
    for (std::size_t l = 0; l < 8; ++l)
      rounded[at + l] = static_cast<float>(values[at + l] * factor);
  });
}

std::size_t cheapest(const double* costs, const double* v, std::size_t m) {
  double least;
  minima_of<Doubles, 1>(costs, 0, v, m, &least);
  return find_difference(costs, v, m, least);
}

std::size_t cheapest_single(const float* costs, const float* v, std::size_t m) {
  float least;
  minima_of<Singles, 1>(costs, 0, v, m, &least);
  return find_single(costs, v, m, least);
}

void lower(const double* costs, double shift, std::int64_t row, std::size_t m, double* least,
           std::int64_t* from) {
  const Doubles offset = broadcast(shift);
  const Bits here = Bits{} + row;
  for (std::size_t j = 0; j < m; j += kDoubles) {
    const Doubles old = load_doubles(least + j), value = load_doubles(costs + j) + offset;
    store_doubles(least + j, smaller(value, old));
    const Bits source = value < old ? here : load_bits(from + j);
    IMGSIM_MEMCPY(from + j, &source, sizeof source);
  }
}

// The lowest column at which the least value is, from the first such column of each lane. Without
// a loop over columns, whose end would not be predictable.
inline std::size_t column_within(Doubles least, Bits columns) {
  const unsigned lanes = lanes_that_hold(least == broadcast(least_within(least)));
  if (lanes == 0) return SIZE_MAX;
  std::int64_t column[kDoubles];
  IMGSIM_MEMCPY(column, &columns, sizeof columns);
  std::int64_t at = column[__builtin_ctz(lanes)];
  for (unsigned more = lanes & (lanes - 1); more != 0; more &= more - 1)
    if (column[__builtin_ctz(more)] < at) at = column[__builtin_ctz(more)];
  return static_cast<std::size_t>(at);
}

// Dijkstra's step from one row; returns the column that is nearest then.
inline std::size_t relax(const double* costs, const double* v, double shift, std::int64_t row,
                         std::size_t m, double* distances, std::int64_t* from) {
  const Doubles offset = broadcast(shift);
  const Bits here = Bits{} + row;
  Doubles least = broadcast(kInfinity);
  Bits column = lane_numbers(), best = column;
  for (std::size_t j = 0; j < m; j += kDoubles, column += static_cast<std::int64_t>(kDoubles)) {
    const Doubles old = load_doubles(distances + j);
    const Doubles value = (load_doubles(costs + j) - load_doubles(v + j)) + offset;
    const Bits less = value < old;
    const Doubles now = smaller(value, old);
    store_doubles(distances + j, now);
    const Bits source = less ? here : load_bits(from + j);
    IMGSIM_MEMCPY(from + j, &source, sizeof source);
    const Doubles before = least;
    least = smaller(now, least);  // must not wait for the comparison
    best = least < before ? column : best;
  }
  return column_within(least, best);
}

// values[j] = value by a whole register: a load that follows a store of a part of it would wait.
inline void set_one(double* values, std::size_t j, double value) {
  const std::size_t first = j / kDoubles * kDoubles;
  const Bits here = lane_numbers() == Bits{} + static_cast<std::int64_t>(j - first);
  store_doubles(values + first, here ? broadcast(value) : load_doubles(values + first));
}

template <Norm Kind>
void distances_of(const double* x, const double* y, std::size_t y_stride, std::size_t dims,
                  std::size_t m, double* out) {
  for (std::size_t j = 0; j < m; j += kDoubles) {
    Doubles sum = {};
    for (std::size_t k = 0; k < dims; ++k) {
      const Doubles step = broadcast(x[k]) - load_doubles(y + k * y_stride + j);
      if (Kind == Norm::sum) sum += magnitudes(step);
      if (Kind == Norm::largest) sum = larger(magnitudes(step), sum);
      if (Kind == Norm::squares) sum += step * step;
    }
    store_doubles(out + j, sum);
  }
}

#else

template <class Real>
void minima_with(const Real* costs, std::size_t stride, std::size_t rows, const Real* v,
                 std::size_t m, Real* out) {
  for (std::size_t r = 0; r < rows; ++r) {
    Real least = static_cast<Real>(kInfinity);
    for (std::size_t j = 0; j < m; ++j) {
      const Real value = costs[r * stride + j] - v[j];
      least = value < least ? value : least;
    }
    out[r] = least;
  }
}

template <class Real>
std::size_t find_with(const Real* costs, const Real* v, std::size_t m, Real value) {
  for (std::size_t j = 0; j < m; ++j)
    if (costs[j] - v[j] == value) return j;
  return m;
}

void minima(const double* costs, std::size_t stride, std::size_t rows, const double* v,
            std::size_t m, double* out) {
  minima_with(costs, stride, rows, v, m, out);
}
void minima_single(const float* costs, std::size_t stride, std::size_t rows, const float* v,
                   std::size_t m, float* out) {
  minima_with(costs, stride, rows, v, m, out);
}
std::size_t find_difference(const double* costs, const double* v, std::size_t m, double value) {
  return find_with(costs, v, m, value);
}
std::size_t find_single(const float* costs, const float* v, std::size_t m, float value) {
  return find_with(costs, v, m, value);
}

void add_where(const std::uint64_t* bits, std::size_t words, double delta, double* values) {
  for (std::size_t w = 0; w < words; ++w)
    for (std::size_t l = 0; l < 64; ++l)
      if ((bits[w] >> l & 1) != 0) values[w * 64 + l] += delta;
}

void add_where_single(const std::uint64_t* bits, std::size_t words, double delta, double factor,
                      double* values, float* rounded) {
  add_where(bits, words, delta, values);
  for (std::size_t w = 0; w < words; ++w)
    for (std::size_t l = 0; l < 64; ++l)
      if ((bits[w] >> l & 1) != 0)
        rounded[w * 64 + l] = static_cast<float>(values[w * 64 + l] * factor);
}

std::size_t cheapest(const double* costs, const double* v, std::size_t m) {
  double least;
  minima_with(costs, 0, 1, v, m, &least);
  return find_with(costs, v, m, least);
}

std::size_t cheapest_single(const float* costs, const float* v, std::size_t m) {
  float least;
  minima_with(costs, 0, 1, v, m, &least);
  return find_with(costs, v, m, least);
}

void lower(const double* costs, double shift, std::int64_t row, std::size_t m, double* least,
           std::int64_t* from) {
  for (std::size_t j = 0; j < m; ++j) {
    const double value = costs[j] + shift;
    if (value < least[j]) {
      least[j] = value;
      from[j] = row;
    }
  }
}

inline std::size_t relax(const double* costs, const double* v, double shift, std::int64_t row,
                         std::size_t m, double* distances, std::int64_t* from) {
  std::size_t at = m;
  for (std::size_t j = 0; j < m; ++j) {
    const double value = (costs[j] - v[j]) + shift;
    if (value < distances[j]) {
      distances[j] = value;
      from[j] = row;
    }
    if (at == m || distances[j] < distances[at]) at = j;
  }
  return at;
}

inline void set_one(double* values, std::size_t j, double value) {
  values[j] = value;
}

template <Norm Kind>
void distances_of(const double* x, const double* y, std::size_t y_stride, std::size_t dims,
                  std::size_t m, double* out) {
  for (std::size_t j = 0; j < m; ++j) {
    double sum = 0.0;
    for (std::size_t k = 0; k < dims; ++k) {
      const double step = x[k] - y[k * y_stride + j];
      const double size = IMGSIM_FABS(step);
      if (Kind == Norm::sum) sum += size;
      if (Kind == Norm::largest) sum = size > sum ? size : sum;
      if (Kind == Norm::squares) sum += step * step;
    }
    out[j] = sum;
  }
}

#endif

void to_single(const double* x, double factor, std::size_t size, std::size_t m, float* out) {
  for (std::size_t j = 0; j < size; ++j) out[j] = static_cast<float>(x[j] * factor);
  for (std::size_t j = size; j < m; ++j) out[j] = static_cast<float>(kInfinity);
}

std::size_t nearest_free(const PathSearch* search, std::size_t start, std::size_t* closed_n,
                         double* distance) {
  const PathSearch s = *search;
  std::size_t closed = 0, i = start;
  double shift = 0.0;
  for (;;) {
    const double* costs = s.costs + i * s.stride;
    const std::size_t j =
        relax(costs, s.open_v, shift, static_cast<std::int64_t>(i), s.m, s.distances, s.from);
    if (j >= s.columns || closed == s.columns || !(s.distances[j] < kInfinity)) return SIZE_MAX;
    const std::int32_t owner = s.row_of[j];
    const double here = s.distances[j];
    if (owner == kFreeColumn) {
      *closed_n = closed;
      *distance = here;
      return j;
    }
    i = static_cast<std::size_t>(owner);
    shift = here - s.owner_u[j];
    set_one(s.open_v, j, -kInfinity);
    set_one(s.distances, j, kInfinity);
    s.closed[closed] = static_cast<std::int32_t>(j);
    s.closed_distances[closed++] = here;
  }
}

// Adding and taking away 1.5 * 2^52 rounds to a whole number.
constexpr double kRounder = 0x1.8p52;

inline void look_at(double cost, CostScan* scan) {
  const double size = IMGSIM_FABS(cost);
  if (!(size < kInfinity)) {
    if (cost == kInfinity)
      scan->forbidden = true;
    else
      scan->bad = true;
    return;
  }
  if (size > scan->largest) scan->largest = size;
  if ((size + kRounder) - kRounder != size) scan->whole = false;
}

CostScan scan(const double* costs, std::size_t stride, std::size_t n, std::size_t m) {
  CostScan found{0.0, false, false, true};
  if (stride == m) {  // one long row
    m *= n;
    n = 1;
  }
  for (std::size_t i = 0; i < n; ++i) {
    const double* row = costs + i * stride;
    std::size_t j = 0;
#ifdef IMGSIM_VECTORS
    constexpr std::size_t kChains = 4;  // a maximum waits for the one before
    Doubles largest[kChains] = {};
    Bits odd = {};
    for (; j + kChains * kDoubles <= m; j += kChains * kDoubles) {
      IMGSIM_UNROLL
      for (std::size_t k = 0; k < kChains; ++k) {
        const Doubles size = magnitudes(load_doubles(row + j + k * kDoubles));
        largest[k] = size < kInfinity ? larger(size, largest[k]) : broadcast(kInfinity);
        odd |= (size + kRounder) - kRounder != size;
      }
    }
    const double most =
        -least_within(-larger(larger(largest[0], largest[1]), larger(largest[2], largest[3])));
    if (most < kInfinity && found.whole) found.whole = lanes_that_hold(odd) == 0;
    if (most < kInfinity)
      found.largest = most > found.largest ? most : found.largest;
    else
      j = 0;  // something is not finite: look at each
#endif
    for (; j < m; ++j) look_at(row[j], &found);
  }
  return found;
}

// Times 0 a finite number is 0, another one NaN, which stays in a sum.
bool all_finite(const double* values, std::size_t n) {
  std::size_t k = 0;
  double nothing = 0.0;
#ifdef IMGSIM_VECTORS
  Doubles even = {}, odd = {};
  for (; k + 2 * kDoubles <= n; k += 2 * kDoubles) {
    even += load_doubles(values + k) * 0.0;
    odd += load_doubles(values + k + kDoubles) * 0.0;
  }
  even += odd;
  for (std::size_t lane = 0; lane < kDoubles; ++lane) nothing += even[lane];
#endif
  for (; k < n; ++k) nothing += values[k] * 0.0;
  return nothing == 0.0;
}

void manhattan(const double* x, const double* y, std::size_t y_stride, std::size_t dims,
               std::size_t m, double* out) {
  distances_of<Norm::sum>(x, y, y_stride, dims, m, out);
}

void chebyshev(const double* x, const double* y, std::size_t y_stride, std::size_t dims,
               std::size_t m, double* out) {
  distances_of<Norm::largest>(x, y, y_stride, dims, m, out);
}

void squared(const double* x, const double* y, std::size_t y_stride, std::size_t dims,
             std::size_t m, double* out) {
  distances_of<Norm::squares>(x, y, y_stride, dims, m, out);
}

void euclidean(const double* x, const double* y, std::size_t y_stride, std::size_t dims,
               std::size_t m, double* out) {
  if (dims == 1) return manhattan(x, y, y_stride, dims, m, out);
  squared(x, y, y_stride, dims, m, out);
  for (std::size_t j = 0; j < m; ++j) out[j] = IMGSIM_SQRT(out[j]);
}

}  // namespace
