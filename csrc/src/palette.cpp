#include "imgsim/palette.hpp"

#include <algorithm>
#include <limits>
#include <numeric>

#include "grey_rows.hpp"
#include "imgsim/lab.hpp"
#include "transport/interrupt.hpp"

namespace imgsim {
namespace {

constexpr std::size_t kLeastIterations = 4, kMostIterations = 100;
constexpr std::size_t kMostDistances = std::size_t{1} << 28;  // of all iterations: under a second
constexpr std::size_t kGrid = 8;                              // squares along the longer side
constexpr std::size_t kBlock = 256;     // cells whose distances stay in the first cache
constexpr std::size_t kStretch = 4096;  // pixels between two looks at the clock

// Whole-number sums over pixels: the channels, and 2 column + 1 and 2 row + 1.
struct Sums {
  std::int64_t count = 0;
  std::int64_t of[5] = {0, 0, 0, 0, 0};

  void add(const Sums& other) {
    count += other.count;
    for (std::size_t c = 0; c < 5; ++c) of[c] += other.of[c];
  }
  double mean(std::size_t c) const {
    return static_cast<double>(of[c]) / static_cast<double>(count);
  }
  std::uint8_t level(std::size_t c) const {  // rounded, halves up
    return static_cast<std::uint8_t>((2 * of[c] + count) / (2 * count));
  }
};

// ---- cells ------------------------------------------------------------------------------------

std::size_t longer_side(const ImageView& image) {
  return std::max(image.height, image.width);
}

std::size_t color_key(std::uint8_t r, std::uint8_t g, std::uint8_t b, unsigned bits) {
  const unsigned drop = 8 - bits;
  return (((static_cast<std::size_t>(r) >> drop) << bits | static_cast<std::size_t>(g) >> drop)
          << bits) |
         static_cast<std::size_t>(b) >> drop;
}

// The cells that hold a pixel, ordered by key; false when cancelled.
bool count_cells(const ImageView& image, bool with_places, Interrupt* interrupt,
                 std::vector<Sums>* cells) {
  const unsigned bits = with_places ? 4 : 5;
  const std::size_t squares = with_places ? kGrid * kGrid : 1, side = longer_side(image);
  std::vector<std::uint32_t> number(squares << (3 * bits), 0);  // of the cell, from 1 on
  std::vector<Sums> found;
  for (std::size_t y = 0; y < image.height; ++y) {
    const std::size_t down = with_places ? y * kGrid / side * kGrid : 0;
    const auto place_y = static_cast<std::int64_t>(2 * y + 1);
    for (std::size_t begin = 0; begin < image.width; begin += kStretch) {
      const std::size_t end = std::min(begin + kStretch, image.width);
      if (interrupt->due(1 + (end - begin) / 256)) return false;
      const std::uint8_t* pixel = pixel_at(image, y, begin);
      for (std::size_t x = begin; x < end; ++x, pixel += image.pixel_stride) {
        const std::uint8_t r = pixel[0], g = pixel[image.channel_stride],
                           b = pixel[2 * image.channel_stride];
        const std::size_t square = with_places ? down + x * kGrid / side : 0;
        std::uint32_t& at = number[color_key(r, g, b, bits) * squares + square];
        if (at == 0) {
          found.emplace_back();
          at = static_cast<std::uint32_t>(found.size());
        }
        Sums& cell = found[at - 1];
        ++cell.count;
        cell.of[0] += r;
        cell.of[1] += g;
        cell.of[2] += b;
        cell.of[3] += static_cast<std::int64_t>(2 * x + 1);
        cell.of[4] += place_y;
      }
    }
  }
  cells->reserve(found.size());
  for (const std::uint32_t at : number)
    if (at != 0) cells->push_back(found[at - 1]);
  return true;
}

// ---- k-means ----------------------------------------------------------------------------------

class KMeans {
 public:
  // cells and the interrupt outlive the object.
  KMeans(const std::vector<Sums>& cells, std::size_t dims, double scale, Interrupt* interrupt)
      : cells_(cells),
        size_(cells.size()),
        dims_(dims),
        interrupt_(*interrupt),
        points_(dims * size_),
        weights_(size_),
        nearest_(size_, std::numeric_limits<double>::infinity()),
        labels_(size_, 0) {
    for (std::size_t i = 0; i < size_; ++i) {
      const Sums& cell = cells_[i];
      const Lab color = lab_from_srgb(cell.mean(0) / 255, cell.mean(1) / 255, cell.mean(2) / 255);
      const double values[5] = {color.l, color.a, color.b, scale * cell.mean(3),
                                scale * cell.mean(4)};
      for (std::size_t d = 0; d < dims_; ++d) points_[d * size_ + i] = values[d];
      weights_[i] = static_cast<double>(cell.count);
    }
  }

  // False when cancelled.
  bool run(std::size_t colors) {
    if (!choose(colors)) return false;
    average();
    const std::size_t most =
        std::clamp(kMostDistances / (size_ * entries_), kLeastIterations, kMostIterations);
    for (std::size_t step = 0; step < most; ++step) {
      const std::vector<std::uint64_t> before = labels_;
      if (!assign()) return false;
      if (labels_ == before) break;
      average();
    }
    return true;
  }

  void write(Palette* palette) const {
    std::vector<Sums> sums(entries_);
    for (std::size_t i = 0; i < size_; ++i) sums[label(i)].add(cells_[i]);
    std::vector<std::size_t> order(entries_);
    std::iota(order.begin(), order.end(), std::size_t{0});
    std::stable_sort(order.begin(), order.end(),
                     [&](std::size_t x, std::size_t y) { return sums[x].count > sums[y].count; });
    for (const std::size_t j : order) {
      if (sums[j].count == 0) continue;  // lost all its cells
      palette->counts.push_back(sums[j].count);
      for (std::size_t d = 0; d < dims_; ++d) palette->points.push_back(centers_[j * dims_ + d]);
      for (std::size_t c = 0; c < 3; ++c) palette->rgb.push_back(sums[j].level(c));
    }
  }

 private:
  std::size_t label(std::size_t i) const { return static_cast<std::size_t>(labels_[i]); }

  // Gives cells to entry j that are nearer to it than to their own: ties stay with the earlier.
  template <std::size_t kDims>
  void approach(std::size_t j, std::size_t begin, std::size_t end) {
    const std::size_t n = end - begin;
    double squares[kBlock] = {};
    for (std::size_t d = 0; d < kDims; ++d) {
      const double* points = points_.data() + d * size_ + begin;
      const double center = centers_[j * kDims + d];
      for (std::size_t i = 0; i < n; ++i) {
        const double step = points[i] - center;
        squares[i] += step * step;
      }
    }
    double* nearest = nearest_.data() + begin;
    std::uint64_t* labels = labels_.data() + begin;
    for (std::size_t i = 0; i < n; ++i) {
      // Masks: with a choice instead, compilers make a branch and no vectors.
      const std::uint64_t nearer = squares[i] < nearest[i] ? ~std::uint64_t{0} : std::uint64_t{0};
      labels[i] = (j & nearer) | (labels[i] & ~nearer);
      nearest[i] = std::min(squares[i], nearest[i]);
    }
  }

  // Entries first ... entries_ - 1; false when cancelled.
  bool approach_all(std::size_t first) {
    for (std::size_t begin = 0; begin < size_; begin += kBlock) {
      const std::size_t end = std::min(begin + kBlock, size_);
      if (interrupt_.due(1 + (entries_ - first) / 4)) return false;
      for (std::size_t j = first; j < entries_; ++j)
        dims_ == 3 ? approach<3>(j, begin, end) : approach<5>(j, begin, end);
    }
    return true;
  }

  // The cell that matters most; size_ if none lies off its entry.
  std::size_t farthest() const {
    std::size_t best = size_;
    double most = 0;
    for (std::size_t i = 0; i < size_; ++i) {
      const double score = weights_[i] * nearest_[i];
      if (score > most) {
        most = score;
        best = i;
      }
    }
    return best;
  }

  // The start; every cell then has the label of its nearest entry.
  bool choose(std::size_t colors) {
    auto next = static_cast<std::size_t>(std::max_element(weights_.begin(), weights_.end()) -
                                         weights_.begin());
    while (entries_ < colors && next != size_) {
      for (std::size_t d = 0; d < dims_; ++d) centers_.push_back(points_[d * size_ + next]);
      ++entries_;
      if (!approach_all(entries_ - 1)) return false;
      next = farthest();
    }
    return true;
  }

  bool assign() {
    std::fill(nearest_.begin(), nearest_.end(), std::numeric_limits<double>::infinity());
    return approach_all(0);
  }

  // Entries move to the means of their cells; one that has lost all of them stays where it is.
  void average() {
    std::vector<double> sums(entries_ * dims_, 0.0), totals(entries_, 0.0);
    for (std::size_t i = 0; i < size_; ++i) {
      const std::size_t j = label(i);
      totals[j] += weights_[i];
      for (std::size_t d = 0; d < dims_; ++d)
        sums[j * dims_ + d] += weights_[i] * points_[d * size_ + i];
    }
    for (std::size_t k = 0; k < sums.size(); ++k)
      if (totals[k / dims_] > 0) centers_[k] = sums[k] / totals[k / dims_];
  }

  const std::vector<Sums>& cells_;
  const std::size_t size_, dims_;
  Interrupt& interrupt_;
  std::vector<double> points_;             // dims_ rows of size_
  std::vector<double> weights_, nearest_;  // pixels; squared distance to the entry
  std::vector<std::uint64_t> labels_;      // the entry: as wide as distances
  std::size_t entries_ = 0;
  std::vector<double> centers_;  // entries_ rows of dims_
};

}  // namespace

Palette color_palette(const ImageView& rgb, const PaletteOptions& options, const Cancel& cancel) {
  const bool with_places = options.position_weight > 0;
  Palette palette;
  palette.dims = with_places ? 5 : 3;
  Interrupt interrupt(cancel);
  std::vector<Sums> cells;
  palette.cancelled = !count_cells(rgb, with_places, &interrupt, &cells);
  if (palette.cancelled) return palette;
  // Sums of 2 column + 1 to shares of the longer side.
  const double scale = options.position_weight / (2 * static_cast<double>(longer_side(rgb)));
  KMeans clusters(cells, palette.dims, scale, &interrupt);
  palette.cancelled = !clusters.run(options.colors);
  if (!palette.cancelled) clusters.write(&palette);
  return palette;
}

}  // namespace imgsim
