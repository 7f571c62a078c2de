// Sums and products without rounding errors worth mentioning: unevaluated pairs of doubles
// (Dekker 1971; Ogita, Rump, Oishi 2005), about 106 bits. Exact for integers below 2^106.
#pragma once

#include <cmath>
#include <cstddef>

namespace imgsim {

class ExactSum {
 public:
  void add(double x) {
    const double sum = high_ + x;
    const double of_x = sum - high_;
    low_ += (high_ - (sum - of_x)) + (x - of_x);
    high_ = sum;
  }
  // |x|, |y| < 2^500, as the splitting must not overflow.
  void add_product(double x, double y) {
    const double product = x * y;
    const double x_high = upper_half(x), y_high = upper_half(y);
    const double x_low = x - x_high, y_low = y - y_high;
    const double error =
        ((x_high * y_high - product) + x_high * y_low + x_low * y_high) + x_low * y_low;
    add(product);
    low_ += error;
  }
  void add(const ExactSum& other) {
    add(other.high_);
    low_ += other.low_;
  }
  double value() const { return high_ + low_; }

 private:
  static double upper_half(double x) {
    const double spread = 134217729.0 * x;  // 2^27 + 1
    return spread - (spread - x);
  }
  double high_ = 0.0, low_ = 0.0;
};

// The next double downwards.
inline double rounded_down(double x) {
  return std::nextafter(x, -HUGE_VAL);
}

}  // namespace imgsim
