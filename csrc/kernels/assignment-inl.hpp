// Loops of the assignment solver over whole numbers: a key is a cost, shifted to the left, beside
// the number of its column, so that a minimum of keys tells where it is. The same keys on all
// instruction sets.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/portable-inl.hpp"

namespace {

using imgsim::KeySearch;
using imgsim::kSingles;

void to_keys(const double* costs, double least, double factor, double most, unsigned bits,
             std::size_t m, std::int32_t* keys) {
  for (std::size_t j = 0; j < m; ++j) {
    double value = (costs[j] - least) * factor;
    value = value < most ? value : most;
    value = value > 0.0 ? value : 0.0;
    keys[j] = (static_cast<std::int32_t>(value + 0.5) << bits) + static_cast<std::int32_t>(j);
  }
}

#ifdef IMGSIM_VECTORS

constexpr std::size_t kKeys = kVectorBytes / sizeof(std::int32_t);
typedef std::int32_t Keys __attribute__((vector_size(kVectorBytes)));
typedef std::uint32_t Places __attribute__((vector_size(kVectorBytes)));

inline Keys load_keys(const std::int32_t* p) {
  Keys v;
  IMGSIM_MEMCPY(&v, p, sizeof v);
  return v;
}
inline void store_keys(std::int32_t* p, Keys v) {
  IMGSIM_MEMCPY(p, &v, sizeof v);
}

inline Keys smaller_key(Keys a, Keys b) {
  return a < b ? a : b;
}
template <class Vector>
std::uint32_t least_key(Vector v) {
  if constexpr (sizeof(Vector) == 64) {
    const auto low = __builtin_shufflevector(v, v, 0, 1, 2, 3, 4, 5, 6, 7),
               high = __builtin_shufflevector(v, v, 8, 9, 10, 11, 12, 13, 14, 15);
    return least_key(low < high ? low : high);
  } else if constexpr (sizeof(Vector) == 32) {
    const auto low = __builtin_shufflevector(v, v, 0, 1, 2, 3),
               high = __builtin_shufflevector(v, v, 4, 5, 6, 7);
    return least_key(low < high ? low : high);
  } else {
    const auto half = __builtin_shufflevector(v, v, 2, 3, 0, 1), two = v < half ? v : half;
    const auto other = __builtin_shufflevector(two, two, 1, 0, 3, 2);
    return (two < other ? two : other)[0];
  }
}

inline std::int32_t relax_keys(const KeySearch& s, const std::int32_t* keys, std::int32_t before,
                               std::int32_t shift) {
  const Keys offset = Keys{} + shift, here = Keys{} + before;
  Places least = ~Places{};
  for (std::size_t j = 0; j < s.m; j += kKeys) {
    const Keys old = load_keys(s.distances + j);
    const Keys value = load_keys(keys + j) + (offset - load_keys(s.v + j));
    const Keys now = smaller_key(value, old);
    store_keys(s.distances + j, now);
    store_keys(s.from + j, now < old ? here : load_keys(s.from + j));
    const Places open = reinterpret_cast<Places>(now);
    least = open < least ? open : least;
  }
  return static_cast<std::int32_t>(least_key(least));
}

// distances[j] = -1 by a whole register: a load that follows a store of a part of it would wait.
inline void close(std::int32_t* distances, std::size_t j) {
  Keys lane;
  for (std::size_t l = 0; l < kKeys; ++l) lane[l] = static_cast<std::int32_t>(l);
  const std::size_t first = j / kKeys * kKeys;
  const Keys here = lane == Keys{} + static_cast<std::int32_t>(j - first);
  store_keys(distances + first, load_keys(distances + first) + (here & INT32_MIN));
}

#else

inline std::int32_t relax_keys(const KeySearch& s, const std::int32_t* keys, std::int32_t before,
                               std::int32_t shift) {
  std::uint32_t least = UINT32_MAX;
  for (std::size_t j = 0; j < s.m; ++j) {
    const std::int32_t value = keys[j] + (shift - s.v[j]);
    if (value < s.distances[j]) {
      s.distances[j] = value;
      s.from[j] = before;
    }
    const auto open = static_cast<std::uint32_t>(s.distances[j]);
    if (open < least) least = open;
  }
  return static_cast<std::int32_t>(least);
}

inline void close(std::int32_t* distances, std::size_t j) {
  distances[j] = -1;
}

#endif

std::size_t nearest_free_key(const KeySearch* search, std::size_t start) {
  const KeySearch s = *search;
  const std::int32_t column = (std::int32_t{1} << s.bits) - 1;
  const std::int32_t* keys = s.keys + start * s.m;
  std::int32_t before = -1, shift = 0;
  for (std::size_t closed = 0;; ++closed) {
    const std::int32_t nearest = relax_keys(s, keys, before, shift);
    before = nearest & column;
    const auto j = static_cast<std::size_t>(before);
    const std::int32_t place = s.places[j], here = nearest - before;
    s.closed[closed] = before;
    s.closed_distances[closed] = here;
    if (place < 0) return closed;
    keys = s.keys + static_cast<std::size_t>(place) * kSingles;
    shift = here - s.owner_u[j];
    close(s.distances, j);
  }
}

void lower_keys(const std::int32_t* keys, std::int32_t row, std::size_t m, std::int32_t* least,
                std::int32_t* from) {
  for (std::size_t j = 0; j < m; ++j) {
    const bool less = keys[j] < least[j];
    least[j] = less ? keys[j] : least[j];
    from[j] = less ? row : from[j];
  }
}

}  // namespace
