#include "imgsim/ssim.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "image_rows.hpp"
#include "imgsim/resize.hpp"
#include "kernels/kernel_table.hpp"

namespace imgsim {
namespace {

// Sums of x^2 + y^2 over a window of bytes fit 31 bits up to here.
constexpr std::size_t kMostInIntegers = 127;
constexpr std::size_t kMaps = 4;

// (K R)^2 in the units of the sums. The ends keep 0 / 0 and infinity / infinity away and are too
// far off to change a sum that is not 0: sums are at most 2^45, those of scaled pixels at most 1.
double constant(double k, double range, double unit) {
  constexpr double kEnd = 0x1p400;
  const double root = k * std::min(range, kEnd);
  return std::min(std::max(root * root * unit, 1 / kEnd), kEnd);
}

double covariance_norm(const SsimRule& rule) {
  const auto area = static_cast<double>(rule.win * rule.win);
  return rule.sample_covariance ? area / (area - 1) : 1.0;
}

// The windows whose similarity is wanted: those inside the image, or for a map one at each pixel.
class Windows {
 public:
  Windows(const ImageView& image, const SsimRule& rule, double* map)
      : height_(image.height),
        width_(image.width),
        step_(image.channels),
        border_(rule.win / 2),
        skipped_(map == nullptr ? border_ : 0),
        map_(map),
        totals_((width_ - 2 * skipped_) * step_),
        outside_(map == nullptr ? 0 : totals_.size()) {}

  std::size_t rows() const { return height_ - 2 * skipped_; }
  std::size_t values() const { return totals_.size(); }  // in a row
  std::ptrdiff_t first() const { return static_cast<std::ptrdiff_t>(skipped_); }
  std::ptrdiff_t last() const { return static_cast<std::ptrdiff_t>(width_ - skipped_); }

  double* map_row(std::size_t i) { return map_ == nullptr ? nullptr : map_ + i * values(); }

  // Where the values of row i are added up: totals of columns, or a place that is not looked at.
  double* totals(std::size_t i) {
    const std::size_t y = i + skipped_;
    return y < border_ || y >= height_ - border_ ? outside_.data() : totals_.data();
  }

  double mean() const {
    const std::size_t beside = (border_ - skipped_) * step_;
    const double total =
        std::accumulate(totals_.data() + beside, totals_.data() + totals_.size() - beside, 0.0);
    return total / (static_cast<double>(height_ - 2 * border_) *
                    static_cast<double>(totals_.size() - 2 * beside));
  }

 private:
  std::size_t height_, width_, step_;
  std::size_t border_;   // pixels that the mean leaves out
  std::size_t skipped_;  // pixels at which no window is wanted
  double* map_;
  std::vector<double> totals_, outside_;
};

// ---- bytes under equal weights ---------------------------------------------------------------

// Rows of both images come in at the bottom of the window and go out at its top: sums over columns
// slide down the image, and each row of windows is summed from them.
double similarity_in_integers(const ImageView& x, const ImageView& y, const SsimRule& rule,
                              double* map) {
  Windows windows(x, rule, map);
  const std::size_t step = x.channels, halo = (rule.win - 1) * step;
  const std::size_t length = windows.values() + halo;
  const auto radius = static_cast<std::ptrdiff_t>(rule.win / 2);
  const std::ptrdiff_t first = windows.first() - radius, last = windows.last() + radius;

  std::vector<std::int32_t> sums(kMaps * length);
  std::int32_t* columns[kMaps];
  for (std::size_t m = 0; m < kMaps; ++m) columns[m] = sums.data() + m * length;
  std::vector<std::int32_t> scratch(6 * std::max(kBoxChunk, halo) + 2 * halo);
  const auto area = static_cast<double>(rule.win * rule.win);
  const SsimConstants constants = {
      constant(rule.k1, rule.data_range, area * area),
      constant(rule.k2, rule.data_range, area * area / covariance_norm(rule))};
  const BoxRow row = {columns, windows.values(), rule.win, step, area, scratch.data()};

  // One row more than a window has; rows that have not come in are zero.
  const std::size_t slots = rule.win + 1;
  std::vector<std::uint8_t> pixels(slots * 2 * length);
  const auto slot = [&](std::size_t t) { return pixels.data() + (t % slots) * 2 * length; };
  for (std::size_t t = 0; t < windows.rows() + rule.win - 1; ++t) {
    std::uint8_t *enter = slot(t), *leave = slot(t + 1);
    const std::ptrdiff_t place = first + static_cast<std::ptrdiff_t>(t);
    read_bytes(x, place, first, last, enter);
    read_bytes(y, place, first, last, enter + length);
    kernels().slide_columns({enter, enter + length}, {leave, leave + length}, length, rule.win,
                            columns);
    if (t + 1 < rule.win) continue;
    const std::size_t i = t + 1 - rule.win;
    kernels().box_row(row, constants, windows.totals(i), windows.map_row(i));
  }
  return windows.mean();
}

// ---- any pixels, any weights -----------------------------------------------------------------

struct Extent {
  double least = std::numeric_limits<double>::infinity();
  double largest = -std::numeric_limits<double>::infinity();
  bool finite = true;
};

template <class Pixel>
Extent extent_of(const ImageView& image) {
  Extent extent;
  std::vector<double> row(image.width * image.channels);
  for (std::size_t i = 0; i < image.height; ++i) {
    read_row<Pixel>(
        image, static_cast<std::ptrdiff_t>(i), 0, static_cast<std::ptrdiff_t>(image.width),
        [](Pixel value) { return static_cast<double>(value); }, row.data());
    for (const double value : row) {
      extent.finite &= std::isfinite(value);
      extent.least = std::min(extent.least, value);
      extent.largest = std::max(extent.largest, value);
    }
  }
  return extent;
}

// Pixels times a power of two that leaves them below 1, less a shift that halves their magnitude:
// squares do not overflow, and variances lose few digits to the means.
struct Units {
  double scale = 1;
  double shift = 0;

  explicit Units(const Extent& a, const Extent& b) {
    const double least = std::min(a.least, b.least), largest = std::max(a.largest, b.largest);
    int exponent = 0;
    std::frexp(std::max(std::fabs(least), std::fabs(largest)), &exponent);
    scale = std::ldexp(1.0, std::clamp(-exponent, -1000, 1000));
    shift = (least * scale + largest * scale) / 2;
  }
};

// The weights of a filter, and where its rows are.
class Filter {
 public:
  explicit Filter(const SsimRule& rule)
      : weights_(rule.weights.begin(), rule.weights.end()), noise_(rule.k2 == 0 ? 0x1p-46 : 0) {
    if (weights_.empty()) weights_.assign(rule.win, 1 / static_cast<double>(rule.win));
    rows_.resize(weights_.size());
  }

  std::size_t size() const { return weights_.size(); }
  std::size_t radius() const { return weights_.size() / 2; }
  // Without C2, rounding must not pass for variance.
  double noise() const { return noise_; }

  // out[j] = sum of weights[k] * row(k)[j].
  template <class Row>
  void sum(Row row, std::size_t n, double* out) {
    for (std::size_t k = 0; k < size(); ++k) rows_[k] = row(k);
    kernels().weighted_sum(rows_.data(), weights_.data(), radius(), n, out);
  }

 private:
  std::vector<double> weights_;
  std::vector<const double*> rows_;
  double noise_;
};

// Each row is filtered along itself as it comes in; the last 2 radius + 1 are then filtered across.
template <class Pixel>
double similarity_in_floats(const ImageView& x, const ImageView& y, const SsimRule& rule,
                            double* map) {
  const Extent of_x = extent_of<Pixel>(x), of_y = extent_of<Pixel>(y);
  if (!of_x.finite || !of_y.finite) return std::numeric_limits<double>::quiet_NaN();
  const Units units(of_x, of_y);
  const auto scaled = [units](Pixel value) {
    return static_cast<double>(value) * units.scale - units.shift;
  };
  Filter filter(rule);
  Windows windows(x, rule, map);
  const std::size_t step = x.channels, n = windows.values();
  const std::size_t length = n + 2 * filter.radius() * step;
  const auto radius = static_cast<std::ptrdiff_t>(filter.radius());
  const std::ptrdiff_t first = windows.first() - radius, last = windows.last() + radius;

  std::vector<double> arriving(kMaps * length), kept(filter.size() * kMaps * n), means(kMaps * n);
  double* in[kMaps];
  const double* maps[kMaps];
  for (std::size_t m = 0; m < kMaps; ++m) {
    in[m] = arriving.data() + m * length;
    maps[m] = means.data() + m * n;
  }
  const auto kept_row = [&](std::size_t t, std::size_t m) {
    return kept.data() + ((t % filter.size()) * kMaps + m) * n;
  };
  const double range = rule.data_range * units.scale;
  const SsimConstants constants = {constant(rule.k1, range, 1), constant(rule.k2, range, 1)};
  const FilteredRow row = {maps, n, units.shift, covariance_norm(rule), filter.noise()};

  for (std::size_t t = 0; t < windows.rows() + filter.size() - 1; ++t) {
    const std::ptrdiff_t place = first + static_cast<std::ptrdiff_t>(t);
    read_row<Pixel>(x, place, first, last, scaled, in[0]);
    read_row<Pixel>(y, place, first, last, scaled, in[1]);
    kernels().square_rows(in[0], in[1], length, in[2], in[3]);
    for (std::size_t m = 0; m < kMaps; ++m)
      filter.sum([&](std::size_t k) { return in[m] + k * step; }, n, kept_row(t, m));
    if (t + 1 < filter.size()) continue;
    const std::size_t i = t + 1 - filter.size();
    for (std::size_t m = 0; m < kMaps; ++m)
      filter.sum([&](std::size_t k) { return kept_row(i + k, m); }, n, means.data() + m * n);
    kernels().filtered_row(row, constants, windows.totals(i), windows.map_row(i));
  }
  return windows.mean();
}

bool in_integers(PixelType type, const SsimRule& rule) {
  return type == PixelType::u8 && rule.weights.empty() && rule.win <= kMostInIntegers;
}

double nanoseconds_of(const ImageView& image, PixelType type, const SsimRule& rule) {
  const auto values = static_cast<double>(image.height) * static_cast<double>(image.width) *
                      static_cast<double>(image.channels);
  if (in_integers(type, rule)) return 2 * values;
  return static_cast<double>(rule.weights.empty() ? rule.win : rule.weights.size) * values;
}

bool same_size(const ImageView& a, const ImageView& b) {
  return a.height == b.height && a.width == b.width;
}

}  // namespace

double structural_similarity(const ImageView& x, const ImageView& y, PixelType type,
                             const SsimRule& rule, double* map) {
  if (in_integers(type, rule)) return similarity_in_integers(x, y, rule, map);
  switch (type) {
    case PixelType::u8:
      return similarity_in_floats<std::uint8_t>(x, y, rule, map);
    case PixelType::u16:
      return similarity_in_floats<std::uint16_t>(x, y, rule, map);
    case PixelType::f32:
      return similarity_in_floats<float>(x, y, rule, map);
    case PixelType::f64:
      return similarity_in_floats<double>(x, y, rule, map);
  }
  return 0;
}

bool structural_similarities(const ImageView& query, const std::vector<ImageView>& images,
                             PixelType type, const SsimRule& rule, std::size_t threads,
                             const Cancel& cancel, double* out) {
  const double nanoseconds = nanoseconds_of(query, type, rule) * static_cast<double>(images.size());
  return parallel_for(images.size(), 1, useful_threads(threads, nanoseconds), cancel,
                      [&](std::size_t begin, std::size_t end) {
                        std::vector<std::uint8_t> resized;
                        for (std::size_t i = begin; i < end; ++i) {
                          ImageView image = images[i];
                          if (!same_size(image, query)) {
                            resized.resize(query.height * query.width * query.channels);
                            resize_area(image, query.height, query.width, resized.data());
                            const auto channels = static_cast<std::ptrdiff_t>(query.channels);
                            image = {resized.data(),
                                     query.height,
                                     query.width,
                                     query.channels,
                                     channels * static_cast<std::ptrdiff_t>(query.width),
                                     channels,
                                     1};
                          }
                          out[i] = structural_similarity(query, image, type, rule, nullptr);
                        }
                      });
}

}  // namespace imgsim
