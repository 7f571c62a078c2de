// What the loops need from the compiler, without the standard library's inline functions: a
// function compiled with AVX-512 flags could be the copy that the linker keeps for everybody.
//
// Sums of doubles run over kLanes lanes that are then halved: lane l takes lane l + 8, then l + 4,
// l + 2, l + 1. So all instruction sets agree bit for bit.
#pragma once

#include <cstddef>
#include <cstdint>

#ifdef _MSC_VER
extern "C" double fabs(double);
extern "C" double sqrt(double);
extern "C" void* memcpy(void*, const void*, size_t);
extern "C" void* memset(void*, int, size_t);
#define IMGSIM_FABS fabs
#define IMGSIM_SQRT sqrt
#define IMGSIM_MEMCPY memcpy
#define IMGSIM_MEMSET memset
#else
#define IMGSIM_FABS __builtin_fabs
#define IMGSIM_SQRT __builtin_sqrt
#define IMGSIM_MEMCPY __builtin_memcpy
#define IMGSIM_MEMSET __builtin_memset
#endif

// Small loops over registers must be unrolled, else the registers live in memory.
#if defined(__clang__)
#define IMGSIM_UNROLL _Pragma("clang loop unroll(full)")
#elif defined(__GNUC__)
#define IMGSIM_UNROLL _Pragma("GCC unroll 16")
#else
#define IMGSIM_UNROLL
#endif

// gcc and clang let a loop name its registers (vectors of kVectorBytes, set by the kernel file).
// Elsewhere, and with IMGSIM_PLAIN_LOOPS, plain loops give the same bits.
#if defined(__GNUC__) && !defined(IMGSIM_PLAIN_LOOPS)
#define IMGSIM_VECTORS 1

namespace {

constexpr std::size_t kDoubles = kVectorBytes / sizeof(double);
typedef double Doubles __attribute__((vector_size(kVectorBytes)));
typedef std::int64_t Bits __attribute__((vector_size(kVectorBytes)));
typedef std::uint8_t Bytes __attribute__((vector_size(kVectorBytes)));

inline Doubles load_doubles(const double* p) {
  Doubles v;
  IMGSIM_MEMCPY(&v, p, sizeof v);
  return v;
}
inline void store_doubles(double* p, Doubles v) {
  IMGSIM_MEMCPY(p, &v, sizeof v);
}
inline Doubles broadcast(double x) {
  return Doubles{} + x;
}
inline Doubles magnitudes(Doubles v) {
  return reinterpret_cast<Doubles>(reinterpret_cast<Bits>(v) & INT64_MAX);
}
// The k-th element is p[k * stride]. Written out: element by element, gcc builds it in memory.
template <class Vector = Doubles>
Vector load_strided(const double* p, std::size_t stride) {
  const double* q = p + 4 * stride;
  if constexpr (sizeof(Vector) == 64)
    return Vector{p[0], p[stride], p[2 * stride], p[3 * stride],
                  q[0], q[stride], q[2 * stride], q[3 * stride]};
  else if constexpr (sizeof(Vector) == 32)
    return Vector{p[0], p[stride], p[2 * stride], p[3 * stride]};
  else
    return Vector{p[0], p[stride]};
}

// The end of the halving, within one register.
template <class Vector>
double add_within(Vector v) {
  if constexpr (sizeof(Vector) == 64)
    return add_within(__builtin_shufflevector(v, v, 0, 1, 2, 3) +
                      __builtin_shufflevector(v, v, 4, 5, 6, 7));
  else if constexpr (sizeof(Vector) == 32)
    return add_within(__builtin_shufflevector(v, v, 0, 1) + __builtin_shufflevector(v, v, 2, 3));
  else
    return v[0] + v[1];
}

// lanes[0] becomes the sum of N lanes, of which those from Present on are absent, that is 0.
template <std::size_t N, std::size_t Present = N>
void halve(Doubles* lanes) {
  if constexpr (N > 1) {
    constexpr std::size_t kHalf = N / 2;
    IMGSIM_UNROLL
    for (std::size_t l = 0; l < kHalf; ++l)
      if (l + kHalf < Present) lanes[l] += lanes[l + kHalf];
    halve<kHalf, (Present < kHalf ? Present : kHalf)>(lanes);
  }
}

}  // namespace

#else

namespace {

inline double add_lanes(const double* lanes) {
  double eight[8], four[4];
  for (std::size_t l = 0; l < 8; ++l) eight[l] = lanes[l] + lanes[l + 8];
  for (std::size_t l = 0; l < 4; ++l) four[l] = eight[l] + eight[l + 4];
  return (four[0] + four[2]) + (four[1] + four[3]);
}

}  // namespace
#endif
