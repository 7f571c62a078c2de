// W_p between one-dimensional distributions given as masses at shared, sorted positions.
//
// p = 1: the area between the CDFs, sum_j |A_j/S_A - B_j/S_B| w_j (Vallender 1974), evaluated as
// sum_j |A_j S_B - B_j S_A| w_j / (S_A S_B), or sum_j |A_j - B_j| w_j / S where both totals are S.
// For whole-number masses and widths whose sums of products stay below 2^53 every step but the
// final division is exact, so the result is the true distance correctly rounded, and true ties tie.
// p > 1: quantile coupling, O(bins). Circle, p = 1: min over t of sum_j |D_j - t| w_j, reached at a
// weighted median t of D (Werman et al. 1985; Rabin, Delon, Gousseau 2011), O(bins log bins).
// Otherwise rounding errors stay below about bins * 2^-53 of the distance's scale.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "imgsim/parallel.hpp"
#include "imgsim/views.hpp"

namespace imgsim {

// Masses as the caller has them; float64 or uint32.
struct MassMatrix {
  enum class Type { f64, u32 } type = Type::f64;
  const void* data = nullptr;
  std::size_t rows = 0;
  std::size_t cols = 0;
  std::size_t stride = 0;  // elements from row to row
};

constexpr std::size_t kNoBadRow = static_cast<std::size_t>(-1);

// Running sums of rows of masses, each row padded with zeros to a multiple of 16 doubles.
class CdfMatrix {
 public:
  // Sums masses.rows[begin, end). Returns the first row with a mass that is negative, NaN or
  // infinite, or whose masses add up to 0; kNoBadRow if there is none. A row with a total outside
  // [2^-100, 2^100] is scaled by a power of two first, which changes no distance.
  std::size_t assign(const MassMatrix& masses, std::size_t begin, std::size_t end);

  std::size_t rows() const { return rows_; }
  std::size_t cols() const { return cols_; }
  std::size_t stride() const { return stride_; }
  const double* row(std::size_t i) const { return sums_.get() + i * stride_; }
  const double* totals() const { return totals_.data(); }
  double total(std::size_t i) const { return totals_[i]; }

 private:
  bool rescale(const MassMatrix& masses, std::size_t source, std::size_t row);

  std::size_t rows_ = 0, cols_ = 0, stride_ = 0, capacity_ = 0;
  std::unique_ptr<double[]> sums_;
  std::vector<double> totals_;
};

// The geometry of the line or circle and the order p, prepared once for many distances.
class Wasserstein1d {
 public:
  // positions: sorted, finite, one per bin; null for 0, 1, 2, ... times `spacing` (> 0).
  // p >= 1, infinity allowed. period > 0 makes a circle of that length (p = 1 only; all positions
  // within one period); 0 a line. The caller has checked all of this.
  Wasserstein1d(std::size_t bins, const double* positions, double spacing, double p, double period);

  std::size_t bins() const { return bins_; }
  double between(const CdfMatrix& a, std::size_t i, const CdfMatrix& b, std::size_t j) const;
  // out[r] = distance of row i of `a` and row begin + r of `b`, for r < end - begin.
  void one_to_many(const CdfMatrix& a, std::size_t i, const CdfMatrix& b, std::size_t begin,
                   std::size_t end, double* out) const;
  // True where the distance is the plain sum over unit-spaced bins, times a factor.
  bool is_plain() const { return p_ == 1.0 && period_ == 0.0 && widths_.empty(); }
  // True where it is the area between the CDFs.
  bool is_area() const { return p_ == 1.0 && period_ == 0.0; }
  double factor() const { return factor_; }
  // Gap after each bin, for p = 1; null: all 1.
  const double* widths() const { return widths_.empty() ? nullptr : widths_.data(); }
  // A rough estimate, to decide on threads and the size of pieces.
  double nanoseconds_per_pair() const;

 private:
  double on_line(const double* a, double fa, const double* b, double fb, double den) const;
  double on_circle(const double* a, double fa, const double* b, double fb, double den) const;

  std::size_t bins_;
  double p_;
  double period_;
  double factor_ = 1.0;            // what a sum of scaled widths is multiplied by at the end
  std::vector<double> widths_;     // gap after each bin, padded with zeros; empty: all 1
  std::vector<double> positions_;  // for p > 1, scaled like the widths; empty: 0, 1, 2, ...
};

// out[k] = distance of row index_a[k] of `a` and row index_b[k] of `b`.
bool pairs(const Wasserstein1d& metric, const CdfMatrix& a, const CdfMatrix& b,
           const std::int64_t* index_a, const std::int64_t* index_b, std::size_t n,
           std::size_t threads, const Cancel& cancel, double* out);
// out[i * b.rows() + j] for all rows; false when cancelled.
bool cdist(const Wasserstein1d& metric, const CdfMatrix& a, const CdfMatrix& b, std::size_t threads,
           const Cancel& cancel, double* out);
// The distances of rows i < j in the order (0,1), (0,2), ... (1,2), ...; false when cancelled.
bool pdist(const Wasserstein1d& metric, const CdfMatrix& a, std::size_t threads,
           const Cancel& cancel, double* out);

// Distance of two rows of `bins` float64 masses at positions 0, 1, 2, ..., without allocating up
// to 1024 bins; a negative result means that a row is not valid (see CdfMatrix::assign).
double wasserstein_1d_unit(const double* a, const double* b, std::size_t bins);

// Weighted points on the line in any order; no weights: each point weighs 1 / positions.size.
struct Sample {
  Span<const double> positions;
  Span<const double> weights;  // checked by the caller: finite, >= 0, total > 0
};

struct CouplingPiece {
  std::int64_t source, target;  // indices into the samples
  double mass;
};

enum class Totals { normalize, keep };

// sum |x - y|^p mass over the optimal coupling, not rooted (p > 0; optimal for p >= 1). Totals that
// are kept and differ: the last point of the lighter sample takes the rest. `plan`, if not null,
// receives the pieces in the order of the quantiles. O(n log n + m log m).
double sample_coupling(const Sample& x, const Sample& y, double p, Totals totals,
                       std::vector<CouplingPiece>* plan);

}  // namespace imgsim
