// Optimal transport on the line for convex costs: mass moves from quantile to equal quantile.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>

namespace imgsim {

// |d|^p with exact arithmetic for the whole orders that people use.
class Power {
 public:
  explicit Power(double p) : p_(p) {}
  double operator()(double d) const {
    d = std::fabs(d);
    if (p_ == 1.0) return d;
    if (p_ == 2.0) return d * d;
    if (p_ == 3.0) return d * d * d;
    return std::pow(d, p_);
  }
  double root(double sum) const {
    if (p_ == 1.0) return sum;
    if (p_ == 2.0) return std::sqrt(sum);
    return std::pow(sum, 1.0 / p_);
  }

 private:
  double p_;
};

// Calls move(i, j, mass) for the pieces of the coupling of two distributions given by running sums
// times fa and fb, in the order of the quantiles. Masses are differences of neighbouring levels, so
// they are exact where the levels are whole numbers. Where one distribution ends before the other,
// its last point takes the rest (so POT treats unequal totals); with a common scale both end
// together.
template <class Move>
void couple_quantiles(const double* a, std::size_t n, double fa, const double* b, std::size_t m,
                      double fb, Move move) {
  double level = 0.0;
  for (std::size_t i = 0, j = 0; i < n || j < m;) {
    const double next_a = i < n ? a[i] * fa : b[m - 1] * fb;
    const double next_b = j < m ? b[j] * fb : a[n - 1] * fa;
    const double next = std::min(next_a, next_b);
    if (next > level) {
      move(std::min(i, n - 1), std::min(j, m - 1), next - level);
      level = next;
    }
    // An empty bin, or one used up, ends at or below the level. NaN, which only a caller who
    // changes the masses meanwhile can bring in, is passed over too: the loop ends whatever it
    // reads.
    const bool past_a = i < n && !(next_a > level), past_b = j < m && !(next_b > level);
    if (past_a || !past_b) ++i;
    if (past_b || !past_a) ++j;
  }
}

}  // namespace imgsim
