#include "imgsim/histogram.hpp"

#include <algorithm>
#include <cstring>
#include <memory>
#include <vector>

#include "grey_rows.hpp"
#include "kernels/kernel_table.hpp"

namespace imgsim {
namespace {

constexpr std::size_t kOutside = static_cast<std::size_t>(-1);
// From here on half the increments are worth clearing and folding the table of pairs (measured).
constexpr std::size_t kPairsWorth = 98304;
constexpr std::size_t kGreyStretch = 131072;  // of grey bytes: fits the second-level cache
constexpr std::size_t kGatherPixels = 16384;
// From here on counting all 65536 levels is worth more than finding the bin of each pixel.
constexpr std::size_t kLevels16Worth = 65536;

// ---- which bin -------------------------------------------------------------------------------

// numpy.histogram: an estimate, moved by at most one bin where rounding put it past an edge.
std::size_t uniform_bin(double value, const BinAxis& axis) {
  const bool single = axis.single_precision;
  const double first = single ? static_cast<double>(static_cast<float>(axis.first)) : axis.first;
  const double last = single ? static_cast<double>(static_cast<float>(axis.last)) : axis.last;
  if (!(value >= first && value <= last)) return kOutside;
  const double offset =
      single ? static_cast<double>(static_cast<float>(value) - static_cast<float>(first))
             : value - first;
  const double estimate = offset / (axis.last - axis.first) * static_cast<double>(axis.bins);
  std::size_t bin = std::min(static_cast<std::size_t>(estimate), axis.bins - 1);
  if (value < axis.edges[bin] && bin > 0) --bin;
  if (bin != axis.bins - 1 && value >= axis.edges[bin + 1]) ++bin;
  return bin;
}

// numpy.histogramdd: binary search over the edges, here from the uniform estimate.
std::size_t searched_bin(double value, const BinAxis& axis) {
  const double* edges = axis.edges;
  if (!(value >= edges[0] && value <= edges[axis.bins])) return kOutside;
  const double estimate =
      (value - axis.first) / (axis.last - axis.first) * static_cast<double>(axis.bins);
  std::size_t bin = 0;
  if (estimate > 0) bin = std::min(static_cast<std::size_t>(estimate), axis.bins - 1);
  while (bin > 0 && value < edges[bin]) --bin;
  while (bin != axis.bins - 1 && value >= edges[bin + 1]) ++bin;
  return bin;
}

// ---- pixels in contiguous runs ---------------------------------------------------------------

bool selected(const MaskView& mask, std::size_t y, std::size_t x) {
  return mask.data == nullptr || mask.data[static_cast<std::ptrdiff_t>(y) * mask.row_stride +
                                           static_cast<std::ptrdiff_t>(x) * mask.pixel_stride] != 0;
}

template <class Pixel>
Pixel load(const std::uint8_t* address) {
  Pixel value;
  std::memcpy(&value, address, sizeof value);  // NumPy views may be unaligned
  return value;
}

// Calls use(pixels, n) over runs of contiguous pixels that together are the selected pixels.
template <class Pixel, class Use>
void for_each_run(const ImageView& image, const MaskView& mask, Use use) {
  if (image.width == 0 || image.height == 0) return;  // no pixel to point at
  const bool packed = image.pixel_stride == static_cast<std::ptrdiff_t>(sizeof(Pixel));
  const bool aligned = reinterpret_cast<std::uintptr_t>(image.data) % alignof(Pixel) == 0 &&
                       image.row_stride % static_cast<std::ptrdiff_t>(alignof(Pixel)) == 0;
  if (packed && aligned && mask.data == nullptr) {
    const ImageView rows = flattened(image);
    if (rows.height == 1 || rows.width >= kGatherPixels) {
      for (std::size_t y = 0; y < rows.height; ++y)
        use(reinterpret_cast<const Pixel*>(pixel_at(rows, y, 0)), rows.width);
      return;
    }
  }
  thread_local const std::unique_ptr<Pixel[]> gathered(new Pixel[kGatherPixels]);
  std::size_t n = 0;
  for (std::size_t y = 0; y < image.height; ++y) {
    const std::uint8_t* pixel = pixel_at(image, y, 0);
    for (std::size_t x = 0; x < image.width; ++x, pixel += image.pixel_stride) {
      if (!selected(mask, y, x)) continue;
      gathered[n++] = load<Pixel>(pixel);
      if (n == kGatherPixels) {
        use(gathered.get(), n);
        n = 0;
      }
    }
  }
  if (n != 0) use(gathered.get(), n);
}

// ---- 8 bits ----------------------------------------------------------------------------------

// Collects runs of 8-bit pixels and gives their counts in the bins of an axis.
class ByteCounter {
 public:
  explicit ByteCounter(const BinAxis& axis) {
    std::size_t previous = kOutside;
    for (std::size_t v = 0; v < 256; ++v) {
      bin_of_[v] = uniform_bin(static_cast<double>(v), axis);
      if (v == 0 || bin_of_[v] != previous) starts_[segments_++] = static_cast<std::uint8_t>(v);
      previous = bin_of_[v];
    }
    few_ = segments_ - 1 <= kernels().few_thresholds;
  }

  void add(const std::uint8_t* pixels, std::size_t n) {
    if (few_) {
      total_ += n;
      kernels().count_at_least_u8(pixels, n, starts_ + 1, segments_ - 1, at_least_ + 1);
    } else {
      add_levels(pixels, n);
    }
  }

  void add_to(std::int64_t* counts) {
    if (few_) {
      at_least_[0] = total_;
      for (std::size_t s = 0; s < segments_; ++s) {
        const std::uint64_t above = s + 1 < segments_ ? at_least_[s + 1] : 0;
        put(counts, starts_[s], at_least_[s] - above);
      }
    } else {
      for (std::size_t v = 0; v < 256; ++v) put(counts, v, levels_[v]);
    }
  }

 private:
  void add_levels(const std::uint8_t* pixels, std::size_t n) {
    if (n < kPairsWorth) return kernels().tally_u8(pixels, n, levels_);
    thread_local const std::unique_ptr<std::uint32_t[]> pairs(new std::uint32_t[kPairTable]());
    constexpr std::size_t kMost = std::size_t{1} << 31;  // a counter of pairs has 32 bits
    for (; n > kMost; pixels += kMost, n -= kMost)
      kernels().tally_u8_pairs(pixels, kMost, levels_, pairs.get());
    kernels().tally_u8_pairs(pixels, n, levels_, pairs.get());
  }

  void put(std::int64_t* counts, std::size_t level, std::uint64_t n) const {
    if (bin_of_[level] != kOutside) counts[bin_of_[level]] += static_cast<std::int64_t>(n);
  }

  bool few_ = false;
  std::size_t bin_of_[256];
  // Segments of levels that share a bin (or lie outside): the bin of a level only grows with it.
  std::uint8_t starts_[256];
  std::size_t segments_ = 0;
  std::uint64_t total_ = 0;
  std::uint64_t at_least_[256] = {};
  std::uint64_t levels_[256] = {};
};

void histogram_u16(const ImageView& image, const MaskView& mask, const BinAxis& axis,
                   std::int64_t* counts) {
  if (image.height * image.width < kLevels16Worth) {
    for_each_run<std::uint16_t>(image, mask, [&](const std::uint16_t* pixels, std::size_t n) {
      for (std::size_t i = 0; i < n; ++i) {
        const std::size_t bin = uniform_bin(pixels[i], axis);
        if (bin != kOutside) ++counts[bin];
      }
    });
    return;
  }
  std::vector<std::int64_t> levels(65536);
  for_each_run<std::uint16_t>(image, mask, [&](const std::uint16_t* pixels, std::size_t n) {
    for (std::size_t i = 0; i < n; ++i) ++levels[pixels[i]];
  });
  for (std::size_t v = 0; v < levels.size(); ++v) {
    if (levels[v] == 0) continue;
    const std::size_t bin = uniform_bin(static_cast<double>(v), axis);
    if (bin != kOutside) counts[bin] += levels[v];
  }
}

template <class Real>
void histogram_real(const ImageView& image, const MaskView& mask, const BinAxis& axis,
                    std::int64_t* counts) {
  for_each_run<Real>(image, mask, [&](const Real* pixels, std::size_t n) {
    for (std::size_t i = 0; i < n; ++i) {
      const std::size_t bin = uniform_bin(static_cast<double>(pixels[i]), axis);
      if (bin != kOutside) ++counts[bin];
    }
  });
}

// ---- joint -----------------------------------------------------------------------------------

// Offset of a value's bin within the joint table, by look-up for the small integer types.
template <class Pixel>
class JointOffset {
 public:
  JointOffset(const BinAxis& axis, std::size_t step) : axis_(axis), step_(step) {
    if constexpr (kSmall) {
      table_.resize(std::size_t{1} << (8 * sizeof(Pixel)));
      for (std::size_t v = 0; v < table_.size(); ++v) table_[v] = find(static_cast<double>(v));
    }
  }

  std::size_t operator()(Pixel value) const {
    if constexpr (kSmall) return table_[value];
    return find(static_cast<double>(value));
  }

 private:
  static constexpr bool kSmall = sizeof(Pixel) <= 2;

  std::size_t find(double value) const {
    const std::size_t bin = searched_bin(value, axis_);
    return bin == kOutside ? kOutside : bin * step_;
  }

  const BinAxis& axis_;
  std::size_t step_;
  std::vector<std::size_t> table_;
};

template <class Pixel>
void joint(const ImageView& image, const MaskView& mask, Span<const BinAxis> axes,
           std::int64_t* counts) {
  std::vector<JointOffset<Pixel>> offsets;
  offsets.reserve(axes.size);
  for (std::size_t c = 0; c < axes.size; ++c) {
    std::size_t step = 1;
    for (std::size_t later = c + 1; later < axes.size; ++later) step *= axes[later].bins;
    offsets.emplace_back(axes[c], step);
  }

  for (std::size_t y = 0; y < image.height; ++y) {
    const std::uint8_t* pixel = pixel_at(image, y, 0);
    for (std::size_t x = 0; x < image.width; ++x, pixel += image.pixel_stride) {
      if (!selected(mask, y, x)) continue;
      std::size_t at = 0;
      bool inside = true;
      for (std::size_t c = 0; c < axes.size; ++c) {
        const std::ptrdiff_t channel = static_cast<std::ptrdiff_t>(c) * image.channel_stride;
        const std::size_t offset = offsets[c](load<Pixel>(pixel + channel));
        inside &= offset != kOutside;
        at += offset;
      }
      if (inside) ++counts[at];
    }
  }
}

}  // namespace

void histogram(const ImageView& image, PixelType type, const MaskView& mask, const BinAxis& axis,
               std::int64_t* counts) {
  switch (type) {
    case PixelType::u8: {
      ByteCounter counter(axis);
      for_each_run<std::uint8_t>(
          image, mask, [&](const std::uint8_t* pixels, std::size_t n) { counter.add(pixels, n); });
      counter.add_to(counts);
      return;
    }
    case PixelType::u16:
      return histogram_u16(image, mask, axis, counts);
    case PixelType::f32:
      return histogram_real<float>(image, mask, axis, counts);
    case PixelType::f64:
      return histogram_real<double>(image, mask, axis, counts);
  }
}

void histogram_joint(const ImageView& image, PixelType type, const MaskView& mask,
                     Span<const BinAxis> axes, std::int64_t* counts) {
  switch (type) {
    case PixelType::u8:
      return joint<std::uint8_t>(image, mask, axes, counts);
    case PixelType::u16:
      return joint<std::uint16_t>(image, mask, axes, counts);
    case PixelType::f32:
      return joint<float>(image, mask, axes, counts);
    case PixelType::f64:
      return joint<double>(image, mask, axes, counts);
  }
}

void histogram_grey(const ImageView& rgb, const BinAxis& axis, std::int64_t* counts) {
  const ImageView rows = flattened(rgb);
  const std::size_t stretch =
      rows.width * rows.height >= kPairsWorth ? kGreyStretch : kGatherPixels;
  thread_local std::vector<std::uint8_t> grey;
  grey.resize(std::max(grey.size(), stretch));
  ByteCounter counter(axis);
  std::size_t filled = 0;
  for (std::size_t y = 0; y < rows.height; ++y) {
    for (std::size_t x = 0; x < rows.width;) {
      const std::size_t n = std::min(rows.width - x, stretch - filled);
      grey_stretch(rows, y, x, n, grey.data() + filled);
      filled += n;
      x += n;
      if (filled == stretch) {
        counter.add(grey.data(), filled);
        filled = 0;
      }
    }
  }
  if (filled != 0) counter.add(grey.data(), filled);
  counter.add_to(counts);
}

bool histograms(const std::vector<ImageView>& images, PixelType type, const BinAxis& axis,
                std::size_t threads, const Cancel& cancel, std::int64_t* counts) {
  double pixels = 0;
  for (const ImageView& image : images)
    pixels += static_cast<double>(image.height) * static_cast<double>(image.width);
  const double nanoseconds = type == PixelType::u8 ? 0.2 * pixels : 3 * pixels;
  return parallel_for(images.size(), 1, useful_threads(threads, nanoseconds), cancel,
                      [&](std::size_t begin, std::size_t end) {
                        for (std::size_t i = begin; i < end; ++i)
                          histogram(images[i], type, MaskView{}, axis, counts + i * axis.bins);
                      });
}

}  // namespace imgsim
