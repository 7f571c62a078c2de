// Listing of the occupied bins of a small table of counters, compiled once per instruction set.
#pragma once

#include <cstddef>
#include <cstdint>

#ifdef _MSC_VER
extern "C" unsigned char _BitScanForward64(unsigned long*, unsigned __int64);
#pragma intrinsic(_BitScanForward64)
#endif

#include "kernels/kernel_table.hpp"
#include "kernels/portable-inl.hpp"

namespace {

using imgsim::kCountBits;
using imgsim::kCountGroup;
using imgsim::kPackedKeyBits;

// One group whatever its counts, element by element.
inline std::uint16_t* pack_large(const std::uint32_t* counts, std::size_t key, std::uint16_t* at) {
  for (std::size_t i = 0; i < kCountGroup; ++i) {
    if (counts[i] == 0) continue;
    const bool large = counts[i] >> kCountBits != 0;
    *at++ = static_cast<std::uint16_t>((key + i) | (large ? 0 : counts[i] << kPackedKeyBits));
    if (!large) continue;
    *at++ = static_cast<std::uint16_t>(counts[i]);
    *at++ = static_cast<std::uint16_t>(counts[i] >> 16);
  }
  return at;
}

// `pack` writes the occupied bins of one group, their number to `occupied`, and returns whether all
// counts were small.
#if defined(IMGSIM_VECTORS) && defined(__AVX2__)

typedef std::uint32_t EightCounts __attribute__((vector_size(32)));
typedef std::uint16_t EightElements __attribute__((vector_size(16)));
typedef char ByteOrder __attribute__((vector_size(16)));
typedef float EightSingles __attribute__((vector_size(32)));

// For each set of occupied bins the bytes of their elements, moved together.
struct Compaction {
  constexpr Compaction() : order(), size() {
    for (std::size_t set = 0; set < 256; ++set) {
      for (std::size_t i = 0; i < 8; ++i) {
        if ((set >> i & 1) == 0) continue;
        order[set][2 * size[set]] = static_cast<std::uint8_t>(2 * i);
        order[set][2 * size[set] + 1] = static_cast<std::uint8_t>(2 * i + 1);
        ++size[set];
      }
    }
  }
  std::uint8_t order[256][16];
  std::uint8_t size[256];
};
constexpr Compaction kCompaction;

inline bool pack(const std::uint32_t* counts, std::size_t key, std::uint16_t* at,
                 std::size_t* occupied) {
  static_assert(kCountGroup == 8, "one register of counts");
  EightCounts c;
  IMGSIM_MEMCPY(&c, counts, sizeof c);
  const EightCounts keys = static_cast<std::uint32_t>(key) + EightCounts{0, 1, 2, 3, 4, 5, 6, 7};
  const auto set =
      static_cast<unsigned>(__builtin_ia32_movmskps256(reinterpret_cast<EightSingles>(c != 0)));
  const auto large =
      __builtin_ia32_movmskps256(reinterpret_cast<EightSingles>(c >> kCountBits != 0));
  const EightElements elements = __builtin_convertvector(c << kPackedKeyBits | keys, EightElements);
  ByteOrder order;
  IMGSIM_MEMCPY(&order, kCompaction.order[set], sizeof order);
  const ByteOrder together = __builtin_ia32_pshufb128(reinterpret_cast<ByteOrder>(elements), order);
  IMGSIM_MEMCPY(at, &together, sizeof together);
  *occupied = kCompaction.size[set];
  return large == 0;
}

#else

inline bool pack(const std::uint32_t* counts, std::size_t key, std::uint16_t* at,
                 std::size_t* occupied) {
  std::uint32_t bits = 0;
  std::size_t n = 0;
  for (std::size_t i = 0; i < kCountGroup; ++i) {
    at[n] = static_cast<std::uint16_t>((key + i) | counts[i] << kPackedKeyBits);
    n += counts[i] != 0;
    bits |= counts[i];
  }
  *occupied = n;
  return bits >> kCountBits == 0;
}

#endif

// Of eight bytes, each 0 or 1, the first that is 1.
inline std::size_t first_byte(std::uint64_t word) {
#ifdef _MSC_VER
  unsigned long bit;
  _BitScanForward64(&bit, word);
  return bit / 8;
#else
  return static_cast<std::size_t>(__builtin_ctzll(word)) / 8;
#endif
}

std::uint16_t* pack_counts(std::uint32_t* counts, std::uint8_t* touched, std::size_t groups,
                           std::uint16_t* at, std::size_t* occupied) {
  std::size_t found = 0;
  for (std::size_t eight = 0; eight < groups; eight += 8) {
    std::uint64_t word;
    IMGSIM_MEMCPY(&word, touched + eight, sizeof word);
    if (word == 0) continue;
#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    word = __builtin_bswap64(word);
#endif
    IMGSIM_MEMSET(touched + eight, 0, sizeof word);
    for (; word != 0; word &= word - 1) {
      const std::size_t key = (eight + first_byte(word)) * kCountGroup;
      std::size_t n;
      if (pack(counts + key, key, at, &n))
        at += n;
      else
        at = pack_large(counts + key, key, at);
      found += n;
      IMGSIM_MEMSET(counts + key, 0, kCountGroup * sizeof *counts);
    }
  }
  *occupied += found;
  return at;
}

}  // namespace
