// Histogram loops, compiled once per instruction set.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/portable-inl.hpp"

namespace {

using imgsim::kPairTable;

// ---- few bins: compare and accumulate -------------------------------------------------------

constexpr std::size_t kGroup = 4;        // thresholds per pass over a stretch
constexpr std::size_t kBlocksMax = 255;  // a byte counter holds this many ones

#ifdef IMGSIM_VECTORS
constexpr std::size_t kBlock = kVectorBytes;

// counts[g] += pixels >= thresholds[g] for G thresholds over `blocks` <= 255 blocks, in byte
// counters that stay in registers.
template <std::size_t G>
void count_group(const std::uint8_t* pixels, std::size_t blocks, const std::uint8_t* thresholds,
                 std::uint64_t* counts) {
  Bytes ones[G], limits[G];
  for (std::size_t g = 0; g < G; ++g) {
    ones[g] = Bytes{};
    limits[g] = Bytes{} + thresholds[g];
  }
  for (std::size_t b = 0; b < blocks; ++b) {
    Bytes p;
    IMGSIM_MEMCPY(&p, pixels + b * kBlock, kBlock);
    IMGSIM_UNROLL
    for (std::size_t g = 0; g < G; ++g) {
      if (kMaskedAdd)
        ones[g] = p >= limits[g] ? ones[g] + 1 : ones[g];
      else
        ones[g] -= reinterpret_cast<Bytes>(p >= limits[g]);
    }
  }
  for (std::size_t g = 0; g < G; ++g) {
    std::uint32_t sum = 0;
    for (std::size_t i = 0; i < kBlock; ++i) sum += ones[g][i];
    counts[g] += sum;
  }
}
#else
constexpr std::size_t kBlock = 64;

template <std::size_t G>
void count_group(const std::uint8_t* pixels, std::size_t blocks, const std::uint8_t* thresholds,
                 std::uint64_t* counts) {
  for (std::size_t g = 0; g < G; ++g) {
    std::uint8_t ones[kBlock] = {};
    for (std::size_t b = 0; b < blocks; ++b)
      for (std::size_t i = 0; i < kBlock; ++i)
        ones[i] = static_cast<std::uint8_t>(ones[i] + (pixels[b * kBlock + i] >= thresholds[g]));
    std::uint32_t sum = 0;
    for (std::size_t i = 0; i < kBlock; ++i) sum += ones[i];
    counts[g] += sum;
  }
}
#endif

void count_at_least_u8(const std::uint8_t* pixels, std::size_t n, const std::uint8_t* thresholds,
                       std::size_t thresholds_n, std::uint64_t* counts) {
  std::size_t done = 0;
  while (n - done >= kBlock) {
    const std::size_t left = (n - done) / kBlock;
    const std::size_t blocks = left < kBlocksMax ? left : kBlocksMax;
    const std::uint8_t* p = pixels + done;
    std::size_t k = 0;
    for (; thresholds_n - k >= 2 * kGroup; k += kGroup)
      count_group<kGroup>(p, blocks, thresholds + k, counts + k);
    switch (thresholds_n - k) {
      case 7:
        count_group<7>(p, blocks, thresholds + k, counts + k);
        break;
      case 6:
        count_group<6>(p, blocks, thresholds + k, counts + k);
        break;
      case 5:
        count_group<5>(p, blocks, thresholds + k, counts + k);
        break;
      case 4:
        count_group<4>(p, blocks, thresholds + k, counts + k);
        break;
      case 3:
        count_group<3>(p, blocks, thresholds + k, counts + k);
        break;
      case 2:
        count_group<2>(p, blocks, thresholds + k, counts + k);
        break;
      case 1:
        count_group<1>(p, blocks, thresholds + k, counts + k);
        break;
      default:
        break;
    }
    done += blocks * kBlock;
  }
  for (; done < n; ++done)
    for (std::size_t k = 0; k < thresholds_n; ++k) counts[k] += pixels[done] >= thresholds[k];
}

// ---- many bins: one counter per grey level --------------------------------------------------

inline std::uint64_t load_u64(const std::uint8_t* p) {
  std::uint64_t word;
  IMGSIM_MEMCPY(&word, p, sizeof word);
  return word;
}

// Eight private tables: an increment never waits for the store of one of the seven before it, so a
// flat image costs no more than noise.
void tally_u8(const std::uint8_t* pixels, std::size_t n, std::uint64_t* levels) {
  constexpr std::size_t kTables = 8;
  std::uint32_t tables[kTables][256] = {};
  std::size_t i = 0;
  for (; i + kTables <= n; i += kTables) {
    ++tables[0][pixels[i]];
    ++tables[1][pixels[i + 1]];
    ++tables[2][pixels[i + 2]];
    ++tables[3][pixels[i + 3]];
    ++tables[4][pixels[i + 4]];
    ++tables[5][pixels[i + 5]];
    ++tables[6][pixels[i + 6]];
    ++tables[7][pixels[i + 7]];
  }
  for (; i < n; ++i) ++tables[0][pixels[i]];
  for (std::size_t v = 0; v < 256; ++v) {
    std::uint32_t sum = 0;
    for (std::size_t t = 0; t < kTables; ++t) sum += tables[t][v];
    levels[v] += sum;
  }
}

inline void add_four_pairs(std::uint32_t* pairs, std::uint64_t word) {
  ++pairs[word & 0xFFFF];
  ++pairs[(word >> 16) & 0xFFFF];
  ++pairs[(word >> 32) & 0xFFFF];
  ++pairs[word >> 48];
}

// Half the increments of tally_u8. The table of pairs lies in the second-level cache, and mostly in
// the first for photographs, whose neighbouring pixels are alike. Runs of 32 equal pixels, on which
// increments of one counter would wait for each other, are added at once.
void tally_u8_pairs(const std::uint8_t* pixels, std::size_t n, std::uint64_t* levels,
                    std::uint32_t* pairs) {
  std::size_t i = 0;
  for (; i + 32 <= n; i += 32) {
    const std::uint64_t a = load_u64(pixels + i), b = load_u64(pixels + i + 8),
                        c = load_u64(pixels + i + 16), d = load_u64(pixels + i + 24);
    const std::uint64_t same = pixels[i] * 0x0101010101010101ULL;
    if ((((a ^ same) | (b ^ same)) | ((c ^ same) | (d ^ same))) == 0) {
      pairs[a & 0xFFFF] += 16;
      continue;
    }
    add_four_pairs(pairs, a);
    add_four_pairs(pairs, b);
    add_four_pairs(pairs, c);
    add_four_pairs(pairs, d);
  }
  for (; i < n; ++i) ++levels[pixels[i]];

  std::uint32_t low[256] = {};
  for (std::size_t high = 0; high < 256; ++high) {
    std::uint32_t* row = pairs + high * 256;
    std::uint32_t sum = 0;
    for (std::size_t v = 0; v < 256; ++v) {
      sum += row[v];
      low[v] += row[v];
    }
    levels[high] += sum;
  }
  for (std::size_t v = 0; v < 256; ++v) levels[v] += low[v];
  IMGSIM_MEMSET(pairs, 0, kPairTable * sizeof(std::uint32_t));
}

// ---- grey ------------------------------------------------------------------------------------

// grey = (c_R R + c_G G + c_B B + 2^15) >> 16 with the constants below, which add up to 2^16.
constexpr std::uint32_t kRed = 19595, kGreen = 38470, kBlue = 7471;

void grey_rgb3(const std::uint8_t* pixels, std::size_t n, std::uint8_t* out) {
  for (std::size_t i = 0; i < n; ++i) {
    const std::uint8_t* p = pixels + i * 3;
    out[i] = static_cast<std::uint8_t>((kRed * p[0] + kGreen * p[1] + kBlue * p[2] + 32768U) >> 16);
  }
}

// The same in 16-bit steps: with c = 256 h + l both sums of products stay below 2^16, and
// (256 H + L + 2^15) >> 16 = (H + (L >> 8) + 128) >> 8.
inline std::uint8_t grey_in_16_bits(std::uint16_t r, std::uint16_t g, std::uint16_t b) {
  const auto high =
      static_cast<std::uint16_t>((kRed >> 8) * r + (kGreen >> 8) * g + (kBlue >> 8) * b);
  const auto low =
      static_cast<std::uint16_t>((kRed & 255) * r + (kGreen & 255) * g + (kBlue & 255) * b);
  return static_cast<std::uint8_t>(static_cast<std::uint16_t>(high + (low >> 8) + 128) >> 8);
}

void grey_rgb4(const std::uint8_t* pixels, std::size_t n, std::uint8_t* out) {
  for (std::size_t i = 0; i < n; ++i) {
    const std::uint8_t* p = pixels + i * 4;
    if (kWideMultiply) {
      std::uint32_t word;  // R in its lowest byte on little-endian machines
      IMGSIM_MEMCPY(&word, p, sizeof word);
      const std::uint32_t r = word & 255, g = (word >> 8) & 255, b = (word >> 16) & 255;
      out[i] = static_cast<std::uint8_t>((kRed * r + kGreen * g + kBlue * b + 32768U) >> 16);
    } else {
      out[i] = grey_in_16_bits(p[0], p[1], p[2]);
    }
  }
}

}  // namespace
