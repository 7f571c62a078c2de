// The loops that gain from wide registers, behind one table of function pointers per instruction
// set.
//
// Every table gives the same bits: counts are integers; sums of doubles run over kLanes fixed lanes
// that are then added as a fixed binary tree, whatever the register width.
#pragma once

#include <cstddef>
#include <cstdint>

namespace imgsim {

constexpr std::size_t kLanes = 16;
// Scratch of tally_u8_pairs: one counter for each pair of neighbouring pixels, zero between calls.
constexpr std::size_t kPairTable = 65536;

struct KernelTable {
  const char* name;

  // Up to this many thresholds count_at_least_u8 is faster than tally_u8 (measured).
  std::size_t few_thresholds;

  // counts[k] += number of pixels >= thresholds[k].
  void (*count_at_least_u8)(const std::uint8_t* pixels, std::size_t n,
                            const std::uint8_t* thresholds, std::size_t thresholds_n,
                            std::uint64_t* counts);

  // levels[v] += number of pixels equal to v; for short rows.
  void (*tally_u8)(const std::uint8_t* pixels, std::size_t n, std::uint64_t* levels);

  // The same two pixels at a time; n < 2^32; pairs has kPairTable zeros before and after.
  void (*tally_u8_pairs)(const std::uint8_t* pixels, std::size_t n, std::uint64_t* levels,
                         std::uint32_t* pairs);

  // out[i] = (19595 R + 38470 G + 7471 B + 32768) >> 16; a pixel starts every 3 or every 4 bytes.
  void (*grey_rgb3)(const std::uint8_t* pixels, std::size_t n, std::uint8_t* out);
  void (*grey_rgb4)(const std::uint8_t* pixels, std::size_t n, std::uint8_t* out);

  // True when one of the n values is negative, -0.0 or a NaN with its sign bit set.
  bool (*any_sign_bit)(const double* masses, std::size_t n);

  // Running sums, left to right, of each row; cdf rows are cdf_stride apart, the columns from
  // cols to cdf_stride become 0; totals[r] is the last sum of row r.
  void (*cumulate_f64)(const double* rows, std::size_t row_stride, std::size_t rows_n,
                       std::size_t cols, double* cdf, std::size_t cdf_stride, double* totals);
  void (*cumulate_u32)(const std::uint32_t* rows, std::size_t row_stride, std::size_t rows_n,
                       std::size_t cols, double* cdf, std::size_t cdf_stride, double* totals);

  // cumulate_f64 of two rows that lie apart.
  void (*cumulate_two)(const double* a, const double* b, std::size_t cols, double* cdf,
                       std::size_t cdf_stride, double* totals);

  // out[r] = sum_j |A_j fa - B_rj fb| w_j / den, where fa = fb = 1 and den = S if the totals are
  // both S, else fa = total of B, fb = total of A and den = their product. stride is a multiple of
  // kLanes; a null widths means that every w_j is 1.
  void (*w1_one_to_many)(const double* cdf_a, double total_a, const double* cdfs_b,
                         std::size_t stride, const double* totals_b, const double* widths,
                         std::size_t rows_n, double* out);

  // cumulate_f64 and w1_one_to_many (widths 1) in one pass over rows of at most kLanes contiguous
  // columns. Returns the number of rows done: it stops early before rows with a sign bit or with a
  // total outside [2^-100, 2^100] (so also before NaN and infinity), and where it has no vectors.
  std::size_t (*w1_short_rows)(const double* cdf_a, double total_a, const double* rows,
                               std::size_t rows_n, std::size_t cols, double* out);
};

// The table in use (see imgsim/cpu.hpp for the choice).
const KernelTable& kernels();

}  // namespace imgsim
