// Scans of 8-byte codes and of boxes around them, compiled once per instruction set.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/portable-inl.hpp"

namespace {

using imgsim::kBoxes;
using imgsim::kCode;  // bytes

inline std::uint32_t code_distance(const std::uint8_t* a, const std::uint8_t* b) {
  std::uint32_t sum = 0;
  for (std::size_t s = 0; s < kCode; ++s)
    sum += a[s] < b[s] ? std::uint32_t{b[s]} - a[s] : std::uint32_t{a[s]} - b[s];
  return sum;
}

#if defined(IMGSIM_VECTORS)

typedef std::uint16_t BoxSides __attribute__((vector_size(kVectorBytes < 32 ? kVectorBytes : 32)));

inline BoxSides load_sides(const std::uint8_t* p) {
  BoxSides v;
  IMGSIM_MEMCPY(&v, p, sizeof v);
  return v;
}
// By how much a exceeds b, or 0.
inline BoxSides excess(BoxSides a, BoxSides b) {
  return reinterpret_cast<BoxSides>(a > b) & (a - b);
}

void box_bounds(const std::uint8_t* boxes, const std::uint16_t* above, const std::uint16_t* below,
                std::uint16_t* bounds) {
  constexpr std::size_t kSide = kBoxes * sizeof(std::uint16_t);
  for (std::size_t at = 0; at < kSide; at += sizeof(BoxSides)) {
    BoxSides sum = {};
    for (std::size_t s = 0; s < kCode; ++s) {
      const std::uint8_t* sides = boxes + 2 * s * kSide + at;
      sum += excess(load_sides(sides), BoxSides{} + above[s]);
      sum += excess(BoxSides{} + below[s], load_sides(sides + kSide));
    }
    IMGSIM_MEMCPY(reinterpret_cast<char*>(bounds) + at, &sum, sizeof sum);
  }
}

#else

void box_bounds(const std::uint8_t* boxes, const std::uint16_t* above, const std::uint16_t* below,
                std::uint16_t* bounds) {
  for (std::size_t i = 0; i < kBoxes; ++i) {
    std::uint32_t sum = 0;
    for (std::size_t s = 0; s < kCode; ++s) {
      std::uint16_t least, largest;
      IMGSIM_MEMCPY(&least, boxes + 2 * (2 * s * kBoxes + i), sizeof least);
      IMGSIM_MEMCPY(&largest, boxes + 2 * ((2 * s + 1) * kBoxes + i), sizeof largest);
      if (least > above[s]) sum += std::uint32_t{least} - above[s];
      if (below[s] > largest) sum += std::uint32_t{below[s]} - largest;
    }
    bounds[i] = static_cast<std::uint16_t>(sum);
  }
}

#endif

#if defined(IMGSIM_VECTORS) && defined(__SSE2__)

typedef std::uint64_t Sums __attribute__((vector_size(kVectorBytes)));
typedef std::uint16_t CodeSums __attribute__((vector_size(kVectorBytes)));
#if defined(__AVX512BW__)
typedef short CodeShorts __attribute__((vector_size(kVectorBytes)));
#endif
typedef char CodeBytes __attribute__((vector_size(kVectorBytes)));

constexpr std::size_t kCodesInVector = kVectorBytes / kCode;
constexpr std::size_t kCodesAtOnce = 4 * kCodesInVector;

inline CodeBytes load_codes(const std::uint8_t* p) {
  CodeBytes v;
  IMGSIM_MEMCPY(&v, p, sizeof v);
  return v;
}

// The sums of absolute differences of eight bytes each.
inline Sums differences(CodeBytes a, CodeBytes b) {
#if defined(__AVX512BW__)
  return reinterpret_cast<Sums>(__builtin_ia32_psadbw512(a, b));
#elif defined(__AVX2__)
  return reinterpret_cast<Sums>(__builtin_ia32_psadbw256(a, b));
#else
  return reinterpret_cast<Sums>(__builtin_ia32_psadbw128(a, b));
#endif
}

// One bit (AVX-512) or two for each sum: set where it is at most `most`.
#if defined(__AVX512BW__)
constexpr unsigned kBitsOfSum = 1;
#else
constexpr unsigned kBitsOfSum = 2;
#endif
inline std::uint32_t at_most(CodeSums sums, CodeSums most) {
#if defined(__AVX512BW__)
  constexpr int kAtMost = 2;
  return __builtin_ia32_ucmpw512_mask(reinterpret_cast<CodeShorts>(sums),
                                      reinterpret_cast<CodeShorts>(most), kAtMost, ~0U);
#elif defined(__AVX2__)
  return static_cast<std::uint32_t>(
      __builtin_ia32_pmovmskb256(reinterpret_cast<CodeBytes>(sums <= most)));
#else
  return static_cast<std::uint32_t>(
      __builtin_ia32_pmovmskb128(reinterpret_cast<CodeBytes>(sums <= most)));
#endif
}

std::size_t near_codes(const std::uint8_t* codes, std::size_t rows, const std::uint8_t* query,
                       std::uint32_t limit, std::uint32_t* found) {
  std::size_t n = 0, r = 0;
  CodeBytes wanted;
  for (std::size_t i = 0; i < kCodesInVector; ++i)
    IMGSIM_MEMCPY(reinterpret_cast<char*>(&wanted) + i * kCode, query, kCode);
  const CodeSums most = CodeSums{} + static_cast<std::uint16_t>(limit < 65535 ? limit : 65535);
  for (; r + kCodesAtOnce <= rows; r += kCodesAtOnce) {
    // The sums of four vectors beside each other, 16 bits each: at most 8 * 255.
    Sums all = {};
    IMGSIM_UNROLL
    for (std::size_t v = 0; v < 4; ++v)
      all |= differences(load_codes(codes + (r + v * kCodesInVector) * kCode), wanted) << (16 * v);
    for (std::uint32_t near = at_most(reinterpret_cast<CodeSums>(all), most); near != 0;) {
      const auto bit = static_cast<unsigned>(__builtin_ctz(near));
      near &= ~(((1U << kBitsOfSum) - 1) << bit);
      const std::size_t sum = bit / kBitsOfSum;  // of row sum / 4 of vector sum % 4
      found[n++] = static_cast<std::uint32_t>(r + sum % 4 * kCodesInVector + sum / 4);
    }
  }
  for (; r < rows; ++r)
    if (code_distance(codes + r * kCode, query) <= limit)
      found[n++] = static_cast<std::uint32_t>(r);
  return n;
}

#else

std::size_t near_codes(const std::uint8_t* codes, std::size_t rows, const std::uint8_t* query,
                       std::uint32_t limit, std::uint32_t* found) {
  std::size_t n = 0;
  for (std::size_t r = 0; r < rows; ++r)
    if (code_distance(codes + r * kCode, query) <= limit)
      found[n++] = static_cast<std::uint32_t>(r);
  return n;
}

#endif

}  // namespace
