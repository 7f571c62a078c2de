#include "imgsim/sparse_histogram.hpp"

#include <algorithm>
#include <vector>

#include "color_counts.hpp"
#include "comparison_parts.hpp"
#include "imgsim/histogram_comparison.hpp"
#include "kernels/kernel_table.hpp"
#include "pixel_keys.hpp"
#include "sorted_counts.hpp"

namespace imgsim {
namespace {

constexpr std::size_t kTableBins = 1 << 16;  // up to here one table of counters holds all bins
// Counters of colours may take so many pages (8 MB), or as much as sorting would, if that is more.
constexpr std::size_t kMostPages = 2048;
constexpr std::size_t kPixelsPerPage = 2048;

// ---- scratch ---------------------------------------------------------------------------------

// Of the thread's last counters, for its next ones: fresh memory costs as much as counting.
constexpr std::size_t kMostKept = std::size_t{1} << 22;  // bytes
thread_local std::vector<std::uint16_t> kept_for_sorting;
thread_local ColorCounts::Scratch kept_for_colors[2];  // a pair of images needs two

ColorCounts::Scratch take_kept() {
  return std::move(kept_for_colors[kept_for_colors[0] == nullptr ? 1 : 0]);
}

void keep(ColorCounts* counts) {
  for (ColorCounts::Scratch& place : kept_for_colors) {
    if (place != nullptr || counts->pages() > kMostPages) continue;
    place = counts->take_scratch();
    return;
  }
}

// ---- counting --------------------------------------------------------------------------------

KeyReader reader_of_bins(const ImageView& image, const MaskView& mask, const std::size_t* bins) {
  std::size_t steps[kMostKeyedChannels], step = 1;
  for (std::size_t c = image.channels; c-- > 0; step *= bins[c]) steps[c] = step;
  return KeyReader(image, mask, [&](std::size_t c, std::size_t level) {
    return static_cast<std::uint32_t>(level * bins[c] / 256 * steps[c]);
  });
}

std::vector<std::uint32_t> count_in_table(const KeyReader& reader, std::size_t all_bins) {
  std::vector<std::uint32_t> table(all_bins);
  reader.for_each_stretch([&](const std::uint32_t* keys, std::size_t n) {
    for (std::size_t i = 0; i < n; ++i) ++table[keys[i]];
    return true;
  });
  return table;
}

// Three channels. Null where they take too many pages.
std::unique_ptr<ColorCounts> count_colors(const ImageView& image, const MaskView& mask,
                                          const std::size_t* bins, std::uint64_t* pixels) {
  const std::size_t most = std::max(kMostPages, image.width * image.height / kPixelsPerPage);
  auto counts = std::make_unique<ColorCounts>(take_kept(), most);
  const auto add = [&](const std::uint32_t* numbers, std::size_t n) {
    *pixels += n;
    return counts->add(numbers, n);
  };
  const bool whole_bytes = bins[0] == 256 && bins[1] == 256 && bins[2] == 256;
  bool good = true;
  if (whole_bytes && mask.data == nullptr && image.pixel_stride == 3 && image.channel_stride == 1) {
    const ImageView rows = flattened(image);
    std::uint32_t numbers[KeyReader::kChunk];
    for (std::size_t y = 0; y < rows.height; ++y) {
      for (std::size_t x = 0; x < rows.width && good; x += KeyReader::kChunk) {
        const std::size_t n = std::min(KeyReader::kChunk, rows.width - x);
        kernels().color_numbers(pixel_at(rows, y, x), n, numbers);
        good = add(numbers, n);
      }
    }
  } else {
    const KeyReader reader(image, mask, [&](std::size_t c, std::size_t level) {
      std::size_t levels[3] = {};
      levels[c] = level * bins[c] / 256;
      return ColorCounts::number_of(levels[0], levels[1], levels[2]);
    });
    good = reader.for_each_stretch(add);
  }
  if (!good) return nullptr;
  counts->finish();
  return counts;
}

class Listed {
 public:
  explicit Listed(const SparseCounter& counter) : keys_(counter.size()), counts_(keys_.size()) {
    counter.write(keys_.size(), keys_.data(), counts_.data());
  }
  SparseView view() const { return {keys_.data(), counts_.data(), keys_.size()}; }

 private:
  std::vector<std::uint32_t> keys_, counts_;
};

}  // namespace

SparseCounter::SparseCounter(const ImageView& image, const MaskView& mask, const std::size_t* bins,
                             std::uint64_t ignored) {
  for (std::size_t c = 0; c < image.channels; ++c) all_bins_ *= bins_[c] = bins[c];
  if (all_bins_ <= kTableBins) {
    table_ = count_in_table(reader_of_bins(image, mask, bins), all_bins_);
    if (ignored < all_bins_) table_[static_cast<std::size_t>(ignored)] = 0;
    for (const std::uint32_t count : table_) total_ += count;
    return;
  }
  colors_ = count_colors(image, mask, bins, &total_);
  if (colors_ == nullptr) {
    sorted_ = std::make_unique<SortedCounts>(reader_of_bins(image, mask, bins), all_bins_, ignored,
                                             std::move(kept_for_sorting));
    total_ = sorted_->total();
  } else if (ignored < all_bins_) {
    const auto key = static_cast<std::size_t>(ignored);
    total_ -= colors_->forget(
        ColorCounts::number_of(key / bins[2] / bins[1], key / bins[2] % bins[1], key % bins[2]));
  }
}

SparseCounter::~SparseCounter() {
  if (colors_ != nullptr) keep(colors_.get());
  if (sorted_ == nullptr) return;
  std::vector<std::uint16_t> scratch = sorted_->take_scratch();
  if (scratch.size() * sizeof scratch[0] <= kMostKept) kept_for_sorting = std::move(scratch);
}

std::size_t SparseCounter::size() const {
  if (colors_ != nullptr) return colors_->occupied();
  if (sorted_ != nullptr) return sorted_->occupied();
  return table_.size() - static_cast<std::size_t>(std::count(table_.begin(), table_.end(), 0U));
}

void SparseCounter::write(std::size_t size, std::uint32_t* keys, std::uint32_t* counts) const {
  if (colors_ != nullptr) return colors_->write(bins_, size, keys, counts);
  if (sorted_ != nullptr) return sorted_->write(keys, counts);
  for (std::size_t key = 0; key < table_.size(); ++key) {
    if (table_[key] == 0) continue;
    *keys++ = static_cast<std::uint32_t>(key);
    *counts++ = table_[key];
  }
}

double correlation(const SparseCounter& a, const SparseCounter& b) {
  const auto bins = static_cast<double>(a.all_bins_);
  if (a.colors_ != nullptr && b.colors_ != nullptr)
    return correlation_of_counts(bins, {a.total_, a.colors_->squares()},
                                 {b.total_, b.colors_->squares()},
                                 ColorCounts::products(*a.colors_, *b.colors_));
  const Listed first(a), second(b);
  return compare_sparse(Comparison::correlation, false, first.view(), second.view(), a.all_bins_)
      .value;
}

}  // namespace imgsim
