// The core against naive loops.
#include <algorithm>
#include <atomic>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <numeric>
#include <string>
#include <thread>
#include <vector>

#include "check.hpp"
#include "imgsim/grey.hpp"
#include "imgsim/histogram.hpp"
#include "imgsim/knn.hpp"
#include "imgsim/lab.hpp"
#include "imgsim/palette.hpp"
#include "imgsim/sliced_transport.hpp"

using namespace imgsim;

namespace {

// ---- images ----------------------------------------------------------------------------------

enum Layout { packed, gaps, upside_down, reversed, repeated, transposed, unaligned, kLayouts };

// An image in a block of exactly the bytes it needs, so that a read beside them is seen.
template <class Pixel>
struct Picture {
  std::vector<std::uint8_t> bytes;
  ImageView view;

  Picture(Picture&&) = default;  // a copy would look at the bytes of the original
  Picture(std::size_t h, std::size_t w, std::size_t c, std::size_t layout) {
    const auto s = static_cast<std::ptrdiff_t>(sizeof(Pixel));
    const auto height = static_cast<std::ptrdiff_t>(h), width = static_cast<std::ptrdiff_t>(w),
               channels = static_cast<std::ptrdiff_t>(c);
    view = {nullptr, h, w, c, s * channels * width, s * channels, s};
    if (layout == gaps) view.row_stride = (view.pixel_stride *= 2) * width + s;
    if (layout == upside_down) view.row_stride *= -1;
    if (layout == reversed) view.pixel_stride *= -1, view.channel_stride *= -1;
    if (layout == repeated) view.row_stride = 0;
    if (layout == transposed) std::swap(view.row_stride = s * channels * height, view.pixel_stride);
    std::ptrdiff_t lowest = 0, highest = s;
    for (const std::ptrdiff_t reach :
         {view.row_stride * (height - 1), view.pixel_stride * (width - 1),
          view.channel_stride * (channels - 1)})
      (reach < 0 ? lowest : highest) += reach;
    if (h * w == 0) return;
    const std::ptrdiff_t lead = layout == unaligned ? 1 : 0;
    bytes.resize(static_cast<std::size_t>(lead + highest - lowest));
    view.data = bytes.data() + lead - lowest;
    each([&](std::size_t y, std::size_t x, std::size_t channel) {
      auto value = static_cast<Pixel>(below(sizeof(Pixel) == 1 ? 256 : 400));
      if (std::is_floating_point<Pixel>::value)
        value = below(50) == 0 ? static_cast<Pixel>(NAN)
                               : static_cast<Pixel>(value / Pixel{2} - Pixel{20});
      std::memcpy(const_cast<std::uint8_t*>(address(y, x, channel)), &value, sizeof value);
    });
  }

  const std::uint8_t* address(std::size_t y, std::size_t x, std::size_t c) const {
    return static_cast<const std::uint8_t*>(view.data) +
           static_cast<std::ptrdiff_t>(y) * view.row_stride +
           static_cast<std::ptrdiff_t>(x) * view.pixel_stride +
           static_cast<std::ptrdiff_t>(c) * view.channel_stride;
  }
  Pixel at(std::size_t y, std::size_t x, std::size_t c = 0) const {
    Pixel value;
    std::memcpy(&value, address(y, x, c), sizeof value);
    return value;
  }
  template <class Use>
  void each(Use use) const {
    for (std::size_t y = 0; y < view.height; ++y)
      for (std::size_t x = 0; x < view.width; ++x)
        for (std::size_t c = 0; c < view.channels; ++c) use(y, x, c);
  }
};

struct Edges : std::vector<double> {
  BinAxis axis;
  Edges(double last, std::size_t bins, bool single) {
    for (std::size_t i = 0; i <= bins; ++i) {
      const double edge = static_cast<double>(i) * (last / static_cast<double>(bins));
      push_back(single ? static_cast<double>(static_cast<float>(edge)) : edge);
    }
    back() = last;
    axis = {0, last, bins, data(), single};
  }
  // The bin of a value; `none` outside.
  std::size_t find(double value, std::size_t none) const {
    if (!(value >= front() && value <= back())) return none;
    const auto bin = static_cast<std::size_t>(std::upper_bound(begin(), end(), value) - begin());
    return std::min(bin, size() - 1) - 1;
  }
};

using Counts = std::vector<std::int64_t>;
constexpr std::size_t kShapes[][2] = {
    {0, 5},  {5, 0},   {1, 1},   {3, 5},     {1, 15},        {1, 16},    {2, 17},
    {4, 33}, {1, 63},  {64, 1},  {1, 65},    {1, 255 * 16},  {7, 97},    {1, 255 * 64 + 1},
    {1, 31}, {1, 128}, {130, 3}, {2, 16384}, {1, 16384 + 1}, {363, 362}, {1, 131072 + 5},
};

template <class Pixel>
void check_histograms(PixelType type, const std::string& name) {
  const bool single = type == PixelType::f32;
  std::vector<Picture<Pixel>> kept;
  for (const auto& shape : kShapes)
    for (std::size_t layout = 0; layout < kLayouts; ++layout) {
      if (shape[0] * shape[1] > 20000 && layout > upside_down) continue;
      Picture<Pixel> image(shape[0], shape[1], 1, layout);
      Picture<std::uint8_t> chosen(shape[0], shape[1], 1, below(kLayouts));
      for (std::uint8_t& byte : chosen.bytes) byte = byte % 3 == 0;
      const MaskView mask = {static_cast<const std::uint8_t*>(chosen.view.data),
                             chosen.view.row_stride, chosen.view.pixel_stride};
      for (const std::size_t bins : sizes({1, 10, 33, 256})) {
        const Edges edges(bins == 10 ? 255 : 256, bins, single);
        Counts want(bins + 1), masked(bins + 1), got(bins + 1), got_masked(bins + 1);
        image.each([&](std::size_t y, std::size_t x, std::size_t) {
          const std::size_t bin = edges.find(static_cast<double>(image.at(y, x)), bins);
          ++want[bin];
          if (chosen.at(y, x)) ++masked[bin];
        });
        want[bins] = masked[bins] = 0;
        histogram(image.view, type, MaskView{}, edges.axis, got.data());
        histogram(image.view, type, mask, edges.axis, got_masked.data());
        expect(got == want && got_masked == masked,
               name + " histogram " + std::to_string(shape[0]) + " x " + std::to_string(shape[1]) +
                   ", bins " + std::to_string(bins) + ", layout " + std::to_string(layout));
      }
      if (layout == reversed || layout == unaligned) kept.push_back(std::move(image));
    }

  for (std::size_t channels = 1; channels <= 4; ++channels)
    for (std::size_t layout = 0; layout < kLayouts; ++layout) {
      const Picture<Pixel> image(13, 17, channels, layout);
      const Edges edges(200, 5, false);
      const std::vector<BinAxis> axes(channels, edges.axis);
      Counts want(625), got(625);
      for (std::size_t y = 0; y < 13; ++y)
        for (std::size_t x = 0; x < 17; ++x) {
          std::size_t place = 0;
          for (std::size_t c = 0; c < channels; ++c)
            place = place * 5 + edges.find(static_cast<double>(image.at(y, x, c)), 10000);
          if (place < 625) ++want[place];
        }
      histogram_joint(image.view, type, MaskView{}, {axes.data(), channels}, got.data());
      expect(got == want, name + " joint histogram, channels " + std::to_string(channels));
    }

  const Edges edges(256, 40, single);
  std::vector<ImageView> views;
  for (int again = 0; again < 40; ++again)
    for (const Picture<Pixel>& image : kept) views.push_back(image.view);
  Counts want(views.size() * 40);
  for (std::size_t i = 0; i < views.size(); ++i)
    histogram(views[i], type, MaskView{}, edges.axis, want.data() + i * 40);
  for (const std::size_t threads : sizes({1, 2, 3, 7})) {
    Counts got(want.size());
    expect(histograms(views, type, edges.axis, threads, Cancel{}, got.data()) && got == want,
           name + " histograms, threads " + std::to_string(threads));
  }
}

double lab_curve(double t) {
  return t > 0.008856 ? std::cbrt(t) : 7.787 * t + 16.0 / 116.0;
}

void check_lab() {
  for (int n = 0; n < 5000; ++n) {
    std::uint8_t bytes[3];
    double shares[3], light[3], of_bytes[3], of_shares[3];
    for (std::size_t c = 0; c < 3; ++c) {
      bytes[c] = static_cast<std::uint8_t>(below(n % 2 == 0 ? 256 : 16));
      shares[c] = bytes[c] / 255.0;
      light[c] =
          shares[c] <= 0.04045 ? shares[c] / 12.92 : std::pow((shares[c] + 0.055) / 1.055, 2.4);
    }
    const double x =
        lab_curve((0.412453 * light[0] + 0.357580 * light[1] + 0.180423 * light[2]) / 0.95047);
    const double y = lab_curve(0.212671 * light[0] + 0.715160 * light[1] + 0.072169 * light[2]);
    const double z =
        lab_curve((0.019334 * light[0] + 0.119193 * light[1] + 0.950227 * light[2]) / 1.08883);
    lab_from_srgb(bytes, 1, of_bytes);
    lab_from_srgb(shares, 1, of_shares);
    const double want[3] = {116 * y - 16, 500 * (x - y), 200 * (y - z)};
    for (std::size_t c = 0; c < 3; ++c)
      expect(std::abs(of_bytes[c] - want[c]) < 1e-11 && of_bytes[c] == of_shares[c], "lab");
  }
}

void check_palettes() {
  for (const auto& shape : kShapes) {
    if (shape[0] * shape[1] == 0 || shape[0] * shape[1] > 1000) continue;  // all different colours
    for (std::size_t layout = 0; layout < kLayouts; ++layout) {
      const Picture<std::uint8_t> image(shape[0], shape[1], 3 + layout % 2, layout);
      std::vector<std::uint8_t> copy;
      image.each([&](std::size_t y, std::size_t x, std::size_t c) {
        if (c < 3) copy.push_back(image.at(y, x, c));
      });
      const auto width = static_cast<std::ptrdiff_t>(shape[1]);
      const ImageView plain = {copy.data(), shape[0], shape[1], 3, 3 * width, 3, 1};
      for (const std::size_t colors : sizes({1, 5, 64}))
        for (const double weight : {0.0, 40.0}) {
          const Palette want = color_palette(plain, {colors, weight}, Cancel{});
          const Palette got = color_palette(image.view, {colors, weight}, Cancel{});
          const std::size_t entries = got.counts.size();
          expect(got.counts == want.counts && got.points == want.points && got.rgb == want.rgb,
                 "palette, layout " + std::to_string(layout));
          expect(entries >= 1 && entries <= colors && got.dims == (weight > 0 ? 5U : 3U) &&
                     got.points.size() == entries * got.dims && got.rgb.size() == entries * 3,
                 "sizes of a palette");
          expect(std::accumulate(got.counts.begin(), got.counts.end(), std::int64_t{0}) ==
                         static_cast<std::int64_t>(shape[0] * shape[1]) &&
                     std::is_sorted(got.counts.rbegin(), got.counts.rend()),
                 "counts of a palette");
        }
    }
  }
  // Enough work for a look at the clock.
  const Picture<std::uint8_t> noise(900, 900, 3, packed);
  const Cancel at_once = {[](void*) { return true; }, nullptr};
  expect(color_palette(noise.view, {256, 40}, at_once).cancelled, "cancel of color_palette");
}

void check_sliced_transport() {
  const std::vector<double> axes = {1, 0, 0, 0, 1, 0, 0, 0, 1};
  const MatrixView<double> directions = {axes.data(), 3, 3, 3};
  // Two points onto two others, each with its own mass; and onto one.
  const std::vector<double> points = {0, 5, 9, 1, 4, 9}, halves = {0.5, 0.5};
  const std::vector<double> goals = {100, 30, 7, 60, 90, 7}, one = {1};
  const WeightedPoints from = {points.data(), halves.data(), 2};
  std::vector<double> moved(6);
  expect(move_sliced(from, {goals.data(), halves.data(), 2}, directions, Cancel{}, moved.data()) &&
             moved == std::vector<double>{60, 90, 7, 100, 30, 7},
         "move_sliced of two points");
  expect(move_sliced(from, {goals.data(), one.data(), 1}, directions, Cancel{}, moved.data()) &&
             moved == std::vector<double>{100, 30, 7, 100, 30, 7},
         "move_sliced to one point");
  const std::size_t many = 400000;
  std::vector<double> cloud(3 * many), weights(many, 1.0 / static_cast<double>(many));
  for (std::size_t i = 0; i < cloud.size(); ++i) cloud[i] = static_cast<double>(i * 7919 % 1021);
  const WeightedPoints all = {cloud.data(), weights.data(), many};
  std::vector<double> out(3 * many);
  const Cancel at_once = {[](void*) { return true; }, nullptr};
  expect(!move_sliced(all, all, directions, at_once, out.data()), "cancel of move_sliced");
}

void check_grey() {
  for (const auto& shape : kShapes)
    for (const std::size_t channels : sizes({3, 4, 5}))
      for (std::size_t layout = 0; layout < kLayouts; ++layout) {
        if (shape[0] * shape[1] > 20000 && layout > upside_down) continue;
        // One of the shapes becomes an image that is counted in pairs of pixels.
        const Picture<std::uint8_t> rgb(shape[0] * (shape[0] == 363 ? 4 : 1), shape[1], channels,
                                        layout);
        std::vector<std::uint8_t> want, got(rgb.view.height * rgb.view.width);
        rgb.each([&](std::size_t y, std::size_t x, std::size_t c) {
          if (c == 0)
            want.push_back(
                static_cast<std::uint8_t>((19595U * rgb.at(y, x) + 38470U * rgb.at(y, x, 1) +
                                           7471U * rgb.at(y, x, 2) + 32768U) >>
                                          16));
        });
        grey_from_rgb(rgb.view, got.data());
        bool good = got == want;
        for (const std::size_t bins : sizes({10, 256})) {
          const Edges edges(256, bins, false);
          Counts counts(bins), expected(bins);
          for (const std::uint8_t level : want) ++expected[edges.find(level, 0)];
          histogram_grey(rgb.view, edges.axis, counts.data());
          good &= counts == expected;
        }
        expect(good, "grey " + std::to_string(shape[0]) + " x " + std::to_string(shape[1]) + " x " +
                         std::to_string(channels) + ", layout " + std::to_string(layout));
      }
}

// ---- distances -------------------------------------------------------------------------------

constexpr std::size_t kRows = 60;
using Row = std::vector<double>;

// The mean |x - y|^p of 192 equal pieces of mass, in order of position.
double naive_line(const double* a, const double* b, const Row& places, double p) {
  const auto pieces = [&](const double* row) {
    const double total = std::accumulate(row, row + places.size(), 0.0);
    Row units;
    for (std::size_t j = 0; j < places.size(); ++j)
      units.insert(units.end(), static_cast<std::size_t>(row[j] * 192 / total), places[j]);
    return units;
  };
  const Row x = pieces(a), y = pieces(b);
  double sum = 0;
  for (std::size_t i = 0; i < 192; ++i) sum += std::pow(std::fabs(x[i] - y[i]), p);
  return p == 1 ? sum / 192 : std::pow(sum / 192, 1 / p);
}

double naive_circle(const double* a, const double* b, std::size_t bins) {
  const double total_a = std::accumulate(a, a + bins, 0.0);
  const double total_b = std::accumulate(b, b + bins, 0.0);
  Row levels, areas;
  double sum = 0;
  for (std::size_t j = 0; j < bins; ++j) levels.push_back(sum += a[j] * total_b - b[j] * total_a);
  for (const double t : levels) {
    areas.push_back(0);
    for (const double level : levels) areas.back() += std::fabs(level - t);
  }
  return *std::min_element(areas.begin(), areas.end()) / (total_a * total_b);
}

void check_knn(const Wasserstein1d& metric, const MassMatrix& rows, const Row& distances,
               std::size_t threads, const std::string& where) {
  std::vector<std::uint8_t> skip(kRows);
  for (std::uint8_t& byte : skip) byte = below(4) == 0;
  for (const std::size_t queries : sizes({1, 5})) {
    MassMatrix some = rows;
    some.rows = queries;
    Row near(queries * 12);
    Counts which(queries * 12);
    const KnnResult found =
        knn(metric, some, rows, skip.data(), 12, threads, Cancel{}, near.data(), which.data());
    bool good = !found.cancelled && found.bad_row == kNoBadRow && found.bad_query == kNoBadRow;
    for (std::size_t q = 0; q < queries; ++q) {
      std::vector<std::pair<double, std::int64_t>> order;
      for (std::size_t r = 0; r < kRows; ++r)
        if (!skip[r]) order.emplace_back(distances[q * kRows + r], static_cast<std::int64_t>(r));
      std::sort(order.begin(), order.end());
      for (std::size_t k = 0; k < 12; ++k)
        good &= std::make_pair(near[q * 12 + k], which[q * 12 + k]) == order[k];
    }
    expect(good, "knn, " + where);
  }
}

void check_distances(std::size_t bins) {
  // Whole masses that add up to 64 or 192: the naive distances are exact.
  Row flat(kRows * bins), unit(bins), places(bins);
  for (std::size_t i = 0; i < kRows; ++i)
    for (int k = 0; k < 64; ++k) flat[i * bins + below(bins)] += i % 3 == 0 ? 3 : 1;
  std::iota(unit.begin(), unit.end(), 0.0);
  for (std::size_t j = 1; j < bins; ++j) places[j] = places[j - 1] + static_cast<double>(below(6));
  std::vector<std::uint32_t> counts;
  for (const double mass : flat) counts.push_back(static_cast<std::uint32_t>(mass));
  const MassMatrix f64 = {MassMatrix::Type::f64, flat.data(), kRows, bins, bins};
  const MassMatrix u32 = {MassMatrix::Type::u32, counts.data(), kRows, bins, bins};
  CdfMatrix sums, same;
  bool good = sums.assign(f64, 0, kRows) == kNoBadRow && same.assign(u32, 0, kRows) == kNoBadRow;
  for (std::size_t i = 0; i < kRows; ++i) {
    double sum = 0;
    for (std::size_t j = 0; j < sums.stride(); ++j) {
      if (j < bins) sum += flat[i * bins + j];
      const double want = j < bins ? sum : 0;
      good &= sums.row(i)[j] == want && same.row(i)[j] == want;
    }
    good &= sums.total(i) == sum && same.total(i) == sum;
  }
  expect(good, "running sums, bins " + std::to_string(bins));

  Counts first, second;
  for (std::size_t k = 0; k < kRows * kRows; ++k) {
    first.push_back(static_cast<std::int64_t>(k / kRows));
    second.push_back(static_cast<std::int64_t>(k % kRows));
  }
  for (const int kind : {0, 1, 2, 3, 4}) {
    const double p = kind == 2 ? 2 : kind == 3 ? 3 : 1;
    const bool placed = kind == 1 || kind == 3, circle = kind == 4;
    const Wasserstein1d metric(bins, placed ? places.data() : nullptr, 1, p,
                               circle ? static_cast<double>(bins) : 0);
    const std::string where = "bins " + std::to_string(bins) + ", kind " + std::to_string(kind);
    Row want, condensed;
    for (std::size_t i = 0; i < kRows; ++i)
      for (std::size_t j = 0; j < kRows; ++j) {
        const double *a = &flat[i * bins], *b = &flat[j * bins];
        const double naive =
            circle ? naive_circle(a, b, bins) : naive_line(a, b, placed ? places : unit, p);
        want.push_back(metric.between(sums, i, sums, j));
        if (i < j) condensed.push_back(want.back());
        expect(std::fabs(want.back() - naive) <= (p == 1 ? 0 : 1e-12 * naive), "pair, " + where);
        if (kind == 0) expect(wasserstein_1d_unit(a, b, bins) == want.back(), "unit, " + where);
      }
    for (const std::size_t threads : sizes({1, 2, 3, 7})) {
      Row full(want.size()), own(condensed.size()), listed(want.size());
      expect(cdist(metric, sums, same, threads, Cancel{}, full.data()) && full == want,
             "cdist, " + where);
      expect(pdist(metric, sums, threads, Cancel{}, own.data()) && own == condensed,
             "pdist, " + where);
      expect(pairs(metric, sums, same, first.data(), second.data(), want.size(), threads, Cancel{},
                   listed.data()) &&
                 listed == want,
             "pairs, " + where);
      check_knn(metric, f64, want, threads, where);
      check_knn(metric, u32, want, threads, where);
    }
  }
  for (const double bad : {-1.0, double{NAN}, double{INFINITY}, -5e-324}) {
    flat[7 * bins + below(bins)] = bad;
    expect(sums.assign(f64, 0, kRows) == 7 && sums.assign(f64, 8, kRows) == kNoBadRow, "bad row");
  }
}

void check_samples() {
  for (const std::size_t n : sizes({1, 2, 9, 64})) {
    Row x(n), y(n), ones(n, 2.0);
    for (double& value : x) value = static_cast<double>(below(50));
    for (double& value : y) value = static_cast<double>(below(50));
    std::vector<CouplingPiece> plan;
    const double cost = sample_coupling({{x.data(), n}, {ones.data(), n}}, {{y.data(), n}, {}}, 2,
                                        Totals::normalize, &plan);
    double moved = 0, mass = 0;
    for (const CouplingPiece& piece : plan) {
      const double d =
          x[static_cast<std::size_t>(piece.source)] - y[static_cast<std::size_t>(piece.target)];
      moved += d * d * piece.mass, mass += piece.mass;
    }
    std::sort(x.begin(), x.end());
    std::sort(y.begin(), y.end());
    double want = 0;
    for (std::size_t i = 0; i < n; ++i) want += (x[i] - y[i]) * (x[i] - y[i]);
    want /= static_cast<double>(n);
    expect(std::fabs(cost - want) <= 1e-9 && std::fabs(moved - cost) <= 1e-9 &&
               std::fabs(mass - 1) <= 1e-12,
           "sample_coupling, points " + std::to_string(n));
  }
}

// ---- threads ---------------------------------------------------------------------------------

void check_parallel_for() {
  for (const std::size_t threads : sizes({1, 2, 3, 7}))
    for (const std::size_t items : sizes({0, 1, 5, 1000}))
      for (const std::size_t grain : sizes({0, 1, 7, 5000})) {
        std::vector<std::atomic<int>> seen(items);
        const auto count = [&](std::size_t begin, std::size_t end) {
          for (std::size_t i = begin; i < end; ++i) ++seen[i];
        };
        expect(parallel_for(items, grain, threads, Cancel{}, count), "parallel_for stopped");
        for (const std::atomic<int>& times : seen) expect(times == 1, "parallel_for, one item");
        std::string caught;
        try {
          parallel_for(items, 1, threads, Cancel{}, [&](std::size_t begin, std::size_t) {
            if (begin == items / 2) throw std::runtime_error("of the body");
          });
        } catch (const std::runtime_error& error) {
          caught = error.what();
        }
        expect(caught == (items == 0 ? "" : "of the body"), "exception in parallel_for");
      }
  for (const std::size_t threads : sizes({1, 4})) {
    int asked = 0;
    const Cancel third = {[](void* times) { return ++*static_cast<int*>(times) == 3; }, &asked};
    std::atomic<int> done{0};
    const bool finished = parallel_for(5000, 1, threads, third, [&](std::size_t, std::size_t) {
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
      ++done;
    });
    expect(!finished && asked == 3 && done < 5000, "cancel of parallel_for");
  }
}

// Calls of several threads at a time, with calls inside, borrow each other's workers.
void check_workers() {
  std::atomic<std::size_t> sum{0};
  const auto call = [&] {
    for (int repeat = 0; repeat < 50; ++repeat)
      parallel_for(6, 1, 3, Cancel{}, [&](std::size_t begin, std::size_t end) {
        parallel_for(10 * (end - begin), 1, 2, Cancel{},
                     [&](std::size_t first, std::size_t last) { sum += last - first; });
        sum += 1000 * (begin + 1);
      });
  };
  std::vector<std::thread> callers;
  for (int i = 0; i < 4; ++i) callers.emplace_back(call);
  for (std::thread& one : callers) one.join();
  expect(sum == 4 * 50 * (6 * 10 + 1000 * 21), "calls that share workers");
}

// The next call finds its worker awake, about to sleep, or asleep: each must find it in the end.
// Two items wait for each other, so that one thread alone cannot do both.
void check_calls_after_pauses() {
  for (const int pause : {0, 80, 100, 120, 1000, 1950, 2000, 2050, 4000})
    for (int repeat = 0; repeat < 40; ++repeat) {
      const auto soon =
          std::chrono::steady_clock::now() + std::chrono::microseconds(pause + repeat);
      while (std::chrono::steady_clock::now() < soon) {
      }
      std::atomic<int> begun{0};
      std::atomic<bool> is_late{false};
      parallel_for(2, 1, 2, Cancel{}, [&](std::size_t, std::size_t) {
        const auto late = std::chrono::steady_clock::now() + std::chrono::seconds(10);
        for (++begun; begun < 2 && !is_late; is_late = std::chrono::steady_clock::now() > late)
          std::this_thread::yield();
      });
      expect(begun == 2 && !is_late, "a call after a pause");
    }
}

}  // namespace

int main(int argc, char** argv) {
  return run_checks(argc, argv, [] {
    check_histograms<std::uint8_t>(PixelType::u8, "u8");
    check_histograms<std::uint16_t>(PixelType::u16, "u16");
    check_histograms<float>(PixelType::f32, "f32");
    check_histograms<double>(PixelType::f64, "f64");
    check_grey();
    check_lab();
    check_palettes();
    check_sliced_transport();
    for (const std::size_t bins : sizes({1, 3, 7, 8, 9, 15, 16, 17, 31, 32, 33, 64, 65, 256}))
      check_distances(bins);
    check_samples();
    check_parallel_for();
    check_workers();
    check_calls_after_pauses();
  });
}
