// Sums and products without rounding errors worth mentioning: unevaluated pairs of doubles
// (Dekker 1971; Ogita, Rump, Oishi 2005), about 106 bits. Exact for integers below 2^106.
#pragma once

#include <cmath>
#include <cstddef>

namespace imgsim {

// high + low, |low| at most half a unit in the last place of high.
struct Twofold {
  double high = 0.0, low = 0.0;

  double value() const { return high + low; }
};

// x + y without error.
inline Twofold add_exactly(double x, double y) {
  const double sum = x + y;
  const double of_y = sum - x;
  return {sum, (x - (sum - of_y)) + (y - of_y)};
}

// x - y - z, for twofold y and z.
inline Twofold subtract(double x, const Twofold& y, const Twofold& z = {}) {
  const Twofold first = add_exactly(x, -y.high), second = add_exactly(first.high, -z.high);
  return add_exactly(second.high, ((first.low - y.low) - z.low) + second.low);
}

inline bool operator<(const Twofold& x, const Twofold& y) {
  return x.high < y.high || (x.high == y.high && x.low < y.low);
}

class ExactSum {
 public:
  void add(double x) {
    const Twofold sum = add_exactly(sum_.high, x);
    sum_.high = sum.high;
    sum_.low += sum.low;
  }
  // Both below 2^960, as splitting them must not overflow; and so must be their product.
  void add_product(double x, double y) {
    const double product = x * y;
    const double x_high = upper_half(x), y_high = upper_half(y);
    const double x_low = x - x_high, y_low = y - y_high;
    const double error =
        ((x_high * y_high - product) + x_high * y_low + x_low * y_high) + x_low * y_low;
    add(product);
    sum_.low += error;
  }
  void add_product(double x, const Twofold& y) {
    add_product(x, y.high);
    sum_.low += x * y.low;
  }
  void add(const ExactSum& other) {
    add(other.sum_.high);
    sum_.low += other.sum_.low;
  }
  double value() const { return sum_.value(); }

 private:
  static double upper_half(double x) {
    const double spread = 134217729.0 * x;  // 2^27 + 1
    return spread - (spread - x);
  }
  Twofold sum_;
};

// The next double downwards.
inline double rounded_down(double x) {
  return std::nextafter(x, -HUGE_VAL);
}

}  // namespace imgsim
