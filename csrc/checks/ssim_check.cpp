// Structural similarity and area interpolation against naive loops.
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <string>
#include <utility>
#include <vector>

#include "check.hpp"
#include "imgsim/resize.hpp"
#include "imgsim/ssim.hpp"

using namespace imgsim;

namespace {

// Pixels, channels fastest, in a block of exactly the bytes they need; `gap`: every second pixel of
// a row that begins one byte late, from the last row to the first.
template <class Pixel>
struct Picture {
  std::vector<std::uint8_t> bytes;
  ImageView view;

  Picture(Picture&&) = default;  // a copy would look at the bytes of the original
  Picture(std::size_t h, std::size_t w, std::size_t c, bool gap) {
    const auto pixel = static_cast<std::ptrdiff_t>(c * sizeof(Pixel)) * (gap ? 2 : 1);
    const auto row = pixel * static_cast<std::ptrdiff_t>(w);
    bytes.resize(h * static_cast<std::size_t>(row) + (gap ? 1 : 0));
    view = {bytes.data(), h, w, c, row, pixel, sizeof(Pixel)};
    if (gap) {
      view.data = bytes.data() + 1 + static_cast<std::ptrdiff_t>(h - 1) * row;
      view.row_stride = -row;
    }
    for (std::size_t i = 0; i < h; ++i)
      for (std::size_t j = 0; j < w; ++j)
        for (std::size_t k = 0; k < c; ++k) {
          const auto value = static_cast<Pixel>(random_bits() % 256);
          std::memcpy(const_cast<std::uint8_t*>(address(i, j, k)), &value, sizeof value);
        }
  }

  const std::uint8_t* address(std::size_t i, std::size_t j, std::size_t k) const {
    return static_cast<const std::uint8_t*>(view.data) +
           static_cast<std::ptrdiff_t>(i) * view.row_stride +
           static_cast<std::ptrdiff_t>(j) * view.pixel_stride +
           static_cast<std::ptrdiff_t>(k) * view.channel_stride;
  }
  double at(std::size_t i, std::size_t j, std::size_t k) const {
    Pixel value;
    std::memcpy(&value, address(i, j, k), sizeof value);
    return static_cast<double>(value);
  }
  // The pixel at a place that may lie less than a side outside.
  double mirrored(std::ptrdiff_t i, std::ptrdiff_t j, std::size_t k) const {
    const auto inside = [](std::ptrdiff_t place, std::size_t n) {
      const auto size = static_cast<std::ptrdiff_t>(n);
      return static_cast<std::size_t>(place < 0       ? -1 - place
                                      : place >= size ? 2 * size - 1 - place
                                                      : place);
    };
    return at(inside(i, view.height), inside(j, view.width), k);
  }
};

template <class Pixel>
double similarity_at(const Picture<Pixel>& x, const Picture<Pixel>& y, const SsimRule& rule,
                     const std::vector<double>& weights, std::size_t i, std::size_t j,
                     std::size_t k) {
  const auto size = static_cast<std::ptrdiff_t>(weights.size()), radius = size / 2;
  double ux = 0, uy = 0, xx = 0, yy = 0, xy = 0;
  for (std::ptrdiff_t di = 0; di < size; ++di)
    for (std::ptrdiff_t dj = 0; dj < size; ++dj) {
      const double w =
          weights[static_cast<std::size_t>(di)] * weights[static_cast<std::size_t>(dj)];
      const std::ptrdiff_t row = static_cast<std::ptrdiff_t>(i) + di - radius,
                           col = static_cast<std::ptrdiff_t>(j) + dj - radius;
      const double a = x.mirrored(row, col, k), b = y.mirrored(row, col, k);
      ux += w * a, uy += w * b, xx += w * a * a, yy += w * b * b, xy += w * a * b;
    }
  const auto area = static_cast<double>(rule.win * rule.win);
  const double norm = rule.sample_covariance ? area / (area - 1) : 1;
  const double c1 = std::pow(rule.k1 * rule.data_range, 2),
               c2 = std::pow(rule.k2 * rule.data_range, 2);
  return (2 * ux * uy + c1) * (2 * norm * (xy - ux * uy) + c2) /
         ((ux * ux + uy * uy + c1) * (norm * (xx - ux * ux + yy - uy * uy) + c2));
}

template <class Pixel>
void check_pair(PixelType type, std::size_t h, std::size_t w, std::size_t c, bool gap,
                const SsimRule& rule, const std::string& what) {
  const Picture<Pixel> x(h, w, c, gap), y(h, w, c, !gap);
  std::vector<double> weights(rule.weights.begin(), rule.weights.end());
  if (weights.empty()) weights.assign(rule.win, 1 / static_cast<double>(rule.win));
  std::vector<double> map(h * w * c);
  const double mean = structural_similarity(x.view, y.view, type, rule, map.data());
  const double alone = structural_similarity(x.view, y.view, type, rule, nullptr);
  expect(mean == alone, what + ": the map changes the mean");
  const std::size_t border = rule.win / 2;
  double total = 0, farthest = 0;
  for (std::size_t i = 0; i < h; ++i)
    for (std::size_t j = 0; j < w; ++j)
      for (std::size_t k = 0; k < c; ++k) {
        const double value = map[(i * w + j) * c + k];
        const double want = similarity_at(x, y, rule, weights, i, j, k);
        farthest = std::max(farthest, std::fabs(value - want));
        if (i >= border && i < h - border && j >= border && j < w - border) total += want;
      }
  expect(farthest < 1e-11, what + ": map");
  const auto windows = static_cast<double>((h - 2 * border) * (w - 2 * border) * c);
  expect(std::fabs(mean - total / windows) < 1e-11, what + ": mean");
  const double self = structural_similarity(x.view, x.view, type, rule, nullptr);
  expect(self == 1, what + ": of equal images");

  const std::vector<ImageView> many = {y.view, x.view, y.view};
  for (const std::size_t threads : {std::size_t{1}, std::size_t{3}}) {
    double out[3] = {};
    expect(structural_similarities(x.view, many, type, rule, threads, {}, out), what + ": done");
    expect(out[0] == mean && out[1] == 1 && out[2] == mean, what + ": many");
  }
}

void check_similarities() {
  const double weights[] = {0.0625, 0.25, 0.375, 0.25, 0.0625};
  for (const std::size_t w : {7U, 8U, 9U, 15U, 16U, 17U, 31U, 33U, 64U, 65U})
    for (const std::size_t c : {1U, 3U})
      for (const std::size_t win : {1U, 3U, 7U, 13U}) {
        if (win > w) continue;
        const std::size_t h = std::max<std::size_t>(win, 5);
        SsimRule rule;
        rule.win = win;
        rule.sample_covariance = win > 1;
        const std::string what =
            std::to_string(w) + " wide, window " + std::to_string(win) + ", " + std::to_string(c);
        check_pair<std::uint8_t>(PixelType::u8, h, w, c, win == 3, rule, "u8 " + what);
        check_pair<float>(PixelType::f32, h, w, c, win == 3, rule, "f32 " + what);
        rule.weights = {weights, 5};
        check_pair<std::uint8_t>(PixelType::u8, h, w, c, win == 7, rule, "weighted u8 " + what);
        check_pair<std::uint16_t>(PixelType::u16, h, w, c, false, rule, "weighted u16 " + what);
        check_pair<double>(PixelType::f64, h, w, c, true, rule, "weighted f64 " + what);
      }
  SsimRule rule;
  check_pair<std::uint8_t>(PixelType::u8, 8, 1030, 1, false, rule, "u8 wide");
  rule.win = 11;
  check_pair<std::uint8_t>(PixelType::u8, 12, 540, 1, false, rule, "u8 wide, window 11");
}

// ---- area interpolation ----------------------------------------------------------------------

// Part of the unit [k, k + 1) that lies in [i size / out, (i + 1) size / out), times `out`.
std::uint64_t overlap(std::size_t k, std::size_t i, std::size_t size, std::size_t out) {
  const std::size_t begin = std::max(k * out, i * size),
                    end = std::min((k + 1) * out, (i + 1) * size);
  return begin < end ? end - begin : 0;
}

void check_resized(std::size_t h, std::size_t w, std::size_t c, std::size_t height,
                   std::size_t width, bool gap) {
  const Picture<std::uint8_t> image(h, w, c, gap);
  std::vector<std::uint8_t> out(height * width * c);
  resize_area(image.view, height, width, out.data());
  bool same = true;
  for (std::size_t i = 0; i < height; ++i)
    for (std::size_t j = 0; j < width; ++j)
      for (std::size_t k = 0; k < c; ++k) {
        double sum = 0;
        for (std::size_t y = 0; y < h; ++y)
          for (std::size_t x = 0; x < w; ++x)
            sum += static_cast<double>(overlap(y, i, h, height) * overlap(x, j, w, width)) *
                   image.at(y, x, k);
        const double mean = std::floor(sum / static_cast<double>(h * w) + 0.5);
        same &= out[(i * width + j) * c + k] == mean;
      }
  expect(same, "resize_area of width " + std::to_string(w) + " to " + std::to_string(width));
}

}  // namespace

int main(int argc, char** argv) {
  return run_checks(argc, argv, [] {
    check_similarities();
    for (const std::size_t w : {1U, 3U, 7U, 16U, 17U, 33U, 65U})
      for (const std::size_t width : {1U, 2U, 16U, 33U, 50U})
        for (const bool gap : {false, true}) check_resized(w / 2 + 1, w, 1 + w % 3, 5, width, gap);
  });
}
