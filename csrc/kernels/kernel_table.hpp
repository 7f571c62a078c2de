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
constexpr std::size_t kCode = 8;    // bytes of half the code of a CDF
constexpr std::size_t kBoxes = 16;  // that are looked at together
// Scratch of tally_u8_pairs: one counter for each pair of neighbouring pixels, zero between calls.
constexpr std::size_t kPairTable = 65536;

// Rows of costs are padded to a multiple of so many columns, with infinity.
constexpr std::size_t kColumns = 8;
constexpr std::size_t kCountGroup = 8;  // counters that are listed together, if any is not 0
constexpr unsigned kCountBits = 4;      // of a listed counter, beside kPackedKeyBits of its place
constexpr unsigned kPackedKeyBits = 16 - kCountBits;
constexpr std::size_t kSingles = 16;  // the same for rows of four bytes a column

// out[j] = distance of point x and point j, whose coordinate k is y[k * y_stride + j].
using DistanceRow = void (*)(const double* x, const double* y, std::size_t y_stride,
                             std::size_t dims, std::size_t m, double* out);

// A search for the free column that is nearest by reduced costs, over rows that own columns.
struct PathSearch {
  const double* costs;
  std::size_t stride, m;
  std::size_t columns;         // of which the others are padding
  double* open_v;              // potentials; -infinity where a column has been closed
  double* distances;           // infinity at first, and where a column has been closed
  std::int64_t* from;          // the row before each column
  const std::int32_t* row_of;  // the owner of each column; -1: free
  const double* owner_u;       // and the owner's potential
  double* closed_distances;
  std::int32_t* closed;  // columns in the order in which they were closed
};

// The same over keys: a cost, rounded to a whole number and shifted to the left by `bits`, plus the
// number of its column.
struct KeySearch {
  const std::int32_t* keys;  // m for each row
  std::size_t m;             // a multiple of kSingles
  unsigned bits;
  const std::int32_t* v;       // potentials, shifted like the costs
  std::int32_t* distances;     // INT32_MAX at first; -1 where a column has been closed
  std::int32_t* from;          // the column closed before each column; -1: the start
  const std::int32_t* places;  // of the owner's keys, by kSingles, for each column; -1: free
  const std::int32_t* owner_u;
  std::int32_t* closed;  // columns in the order in which they were closed, the free one at the end
  std::int32_t* closed_distances;
};

struct CostScan {
  double largest;  // magnitude of the finite ones
  bool forbidden;  // +infinity is among them
  bool bad;        // NaN or -infinity is
  bool whole;      // all finite ones are whole numbers below 2^51, or larger
};

// The sum of n values, and the least and largest of them and of what was here before.
struct Outline {
  double sum, least, largest;
};

// Sums of x = a - centre_a and y = b - centre_b, of their squares and of their products.
struct Moments {
  double x, y, xx, yy, xy;
};

// The sum of a term of p = a[j] fa and q = b[j] fb over n bins.
using BinSum = double (*)(const double* a, double fa, const double* b, double fb, std::size_t n);

// ---- structural similarity: maps 0 to 3 are x, y, x^2 + y^2, x y ----

// (K1 R)^2 and (K2 R)^2 in the units of the sums; never 0, so that no quotient is 0 / 0.
struct SsimConstants {
  double c1, c2;
};

struct RowPair {
  const std::uint8_t *x, *y;
};

// Up to this size of the window the sums of bytes fit 15 bits, and map 0 holds x + 2^16 y.
constexpr std::size_t kMostPacked = 11;

// At least so many windows of a row are summed at a time.
constexpr std::size_t kBoxChunk = 512;

struct BoxRow {
  const std::int32_t* const* columns;  // 4 maps of n + (win - 1) step column sums
  std::size_t n;                       // windows
  std::size_t win;                     // odd
  std::size_t step;                    // from a pixel to its neighbour: the number of channels
  double area;                         // win^2
  std::int32_t* scratch;               // 6 chunk + 2 halo, halo = (win - 1) step, chunk the
                                       // larger of kBoxChunk and halo
};

struct FilteredRow {
  const double* const* maps;  // 4 maps of n means of pixels from which `shift` was taken
  std::size_t n;
  double shift;
  double covariance_norm;  // variances are multiplied by it
  double noise;            // a smaller part of x^2 + y^2 is no variance
};

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

  // ---- transport: m is a multiple of kColumns; v[j] may be -infinity, which closes column j ----

  // out[r] = min_j costs[r * stride + j] - v[j].
  void (*minima)(const double* costs, std::size_t stride, std::size_t rows, const double* v,
                 std::size_t m, double* out);

  // The first j with costs[j] - v[j] == value; m if there is none.
  std::size_t (*find_difference)(const double* costs, const double* v, std::size_t m, double value);

  // The first j where costs[j] - v[j] is least.
  std::size_t (*cheapest)(const double* costs, const double* v, std::size_t m);

  // values[j] += delta for every j whose bit is set in `bits`, 64 to a word.
  void (*add_where)(const std::uint64_t* bits, std::size_t words, double delta, double* values);

  // The same in single precision, m a multiple of kSingles, all values times a factor: to_single
  // sets out[j] = x[j] * factor for j < size, infinity up to m.
  void (*to_single)(const double* x, double factor, std::size_t size, std::size_t m, float* out);
  void (*minima_single)(const float* costs, std::size_t stride, std::size_t rows, const float* v,
                        std::size_t m, float* out);
  std::size_t (*find_single)(const float* costs, const float* v, std::size_t m, float value);
  std::size_t (*cheapest_single)(const float* costs, const float* v, std::size_t m);
  // add_where, and rounded[j] = values[j] * factor for every j whose value has changed.
  void (*add_where_single)(const std::uint64_t* bits, std::size_t words, double delta,
                           double factor, double* values, float* rounded);

  // Where costs[j] + shift is less than least[j], it takes its place and from[j] becomes the row.
  void (*lower)(const double* costs, double shift, std::int64_t row, std::size_t m, double* least,
                std::int64_t* from);

  // Dijkstra's algorithm from row `start`: returns the free column that it reaches first; SIZE_MAX
  // if there is none, as may be when another thread changes the costs.
  std::size_t (*nearest_free)(const PathSearch* search, std::size_t start, std::size_t* closed_n,
                              double* distance);

  // keys[j] = (costs[j] - least) * factor, between 0 and `most`, rounded and shifted to the left by
  // `bits`, plus j, for any m.
  void (*to_keys)(const double* costs, double least, double factor, double most, unsigned bits,
                  std::size_t m, std::int32_t* keys);
  // Where keys[j] is less than least[j], it takes its place and from[j] becomes the row.
  void (*lower_keys)(const std::int32_t* keys, std::int32_t row, std::size_t m, std::int32_t* least,
                     std::int32_t* from);
  // nearest_free over keys: the number of closed columns; the free one follows them in the lists.
  // All reduced costs are at least 0, and all distances less than 2^31.
  std::size_t (*nearest_free_key)(const KeySearch* search, std::size_t start);

  // Looks at n rows of m costs, any m.
  CostScan (*scan)(const double* costs, std::size_t stride, std::size_t n, std::size_t m);
  bool (*all_finite)(const double* values, std::size_t n);

  DistanceRow manhattan, chebyshev, squared, euclidean;

  // ---- codes of CDFs ----

  // Lists the rows whose code has a sum of absolute differences to the query of at most `limit`, in
  // any order; `found` has room for all rows.
  std::size_t (*near_codes)(const std::uint8_t* codes, std::size_t rows, const std::uint8_t* query,
                            std::uint32_t limit, std::uint32_t* found);
  // How near each of 16 boxes can be to the query: the sum over its eight numbers of how far they
  // are below the least (`above`: the query rounded up) or above the largest (`below`: down) of the
  // box. boxes: for each number the least of all boxes, then the largest, all at most 8191.
  void (*box_bounds)(const std::uint8_t* boxes, const std::uint16_t* above,
                     const std::uint16_t* below, std::uint16_t* bounds);

  // ---- comparison of histograms ----

  void (*outline)(const double* x, std::size_t n, Outline* out);
  void (*widen_f32)(const float* x, std::size_t n, double* out);
  void (*widen_u32)(const std::uint32_t* x, std::size_t n, double* out);
  void (*centred_moments)(const double* a, double centre_a, const double* b, double centre_b,
                          std::size_t n, Moments* out);
  // (p - q)^2 / p where p != 0; (p - q)^2 / (p + q) where that is not 0; min(p, q);
  // (sqrt p - sqrt q)^2.
  BinSum chi2, chi2_alt, smaller, root_gap;
  // p log(p / q) where p != 0, with q = missing where b[j] is 0. False, and no sum, where p, q or
  // p / q is not well within the range of doubles.
  bool (*divergence)(const double* a, double fa, const double* b, double fb, double missing,
                     std::size_t n, double* sum);

  // ---- structural similarity ----

  // columns[map][j] += map of entering pixel j - map of leaving pixel j; if win <= kMostPacked,
  // columns[1] is left alone.
  void (*slide_columns)(const RowPair& enter, const RowPair& leave, std::size_t n, std::size_t win,
                        std::int32_t* const* columns);

  // totals[j] += similarity of window j, also written to map[j] unless map is null.
  void (*box_row)(const BoxRow& row, const SsimConstants& constants, double* totals, double* map);
  void (*filtered_row)(const FilteredRow& row, const SsimConstants& constants, double* totals,
                       double* map);

  // squares[j] = x[j]^2 + y[j]^2, products[j] = x[j] y[j].
  void (*square_rows)(const double* x, const double* y, std::size_t n, double* squares,
                      double* products);

  // out[j] = sum over k <= 2 radius of weights[k] rows[k][j]; weights are symmetric, and equally
  // distant rows are added first.
  void (*weighted_sum)(const double* const* rows, const double* weights, std::size_t radius,
                       std::size_t n, double* out);

  // sums[j] += weight * row[j].
  void (*add_weighted_u8)(const std::uint8_t* row, std::uint32_t weight, std::size_t n,
                          std::uint32_t* sums);

  // ---- counts of colours ----

  // The number (ColorCounts::number_of) of each pixel of three bytes.
  void (*color_numbers)(const std::uint8_t* pixels, std::size_t n, std::uint32_t* out);

  // sum_j a[j] b[j], n <= 2^16.
  std::uint32_t (*dot_u8)(const std::uint8_t* a, const std::uint8_t* b, std::size_t n);

  // Lists the counters that are not 0: place | count << kPackedKeyBits, or with a count of 0 there,
  // followed by its lower and its upper half. touched[g] is 1 if any of group g may not be 0, and
  // groups is a multiple of 8. Sets all to 0, adds the number of listed counters to `occupied`, and
  // returns the end of the list, behind which kCountGroup more elements are overwritten.
  std::uint16_t* (*pack_counts)(std::uint32_t* counts, std::uint8_t* touched, std::size_t groups,
                                std::uint16_t* at, std::size_t* occupied);
};

// The table in use (see imgsim/cpu.hpp for the choice).
const KernelTable& kernels();

}  // namespace imgsim
