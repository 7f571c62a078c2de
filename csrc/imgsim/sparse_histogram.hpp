// Joint histograms that list their occupied bins: a photograph fills some 2 % of 2^24.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "imgsim/views.hpp"

namespace imgsim {

// counts[i] > 0 pixels in bin keys[i]; keys ascend.
struct SparseView {
  const std::uint32_t* keys = nullptr;
  const std::uint32_t* counts = nullptr;
  std::size_t size = 0;
};

// Row r is [offsets[r], offsets[r + 1]) of packed: its keys, then as many counts.
struct SparseRows {
  const std::uint32_t* packed = nullptr;
  const std::int64_t* offsets = nullptr;
  std::size_t rows = 0;

  SparseView row(std::size_t r) const {
    const auto begin = static_cast<std::size_t>(offsets[r]);
    const std::size_t size = (static_cast<std::size_t>(offsets[r + 1]) - begin) / 2;
    return {packed + begin, packed + begin + size, size};
  }
};

constexpr std::size_t kMostKeyedChannels = 3;

constexpr std::uint64_t kNoKey = static_cast<std::uint64_t>(-1);

class ColorCounts;
class SortedCounts;

// Counts the joint bins of an 8-bit image of 1 to 3 channels and fewer than 2^32 pixels. Level v of
// channel c lies in bin v * bins[c] / 256 (rounded down) of bins[c] <= 256; the key counts the last
// channel fastest.
//
// Up to 65,536 bins in one table; more in pages of neighbouring colours (color_counts.hpp), of
// which a photograph takes 1 MB to 8 MB; noise by sorting (sorted_counts.hpp) with 2 bytes per
// pixel. Up to 20 MB are kept for the thread's next counters.
class SparseCounter {
 public:
  // The bin `ignored`, if there is one of that key, is set to 0.
  SparseCounter(const ImageView& image, const MaskView& mask, const std::size_t* bins,
                std::uint64_t ignored);
  ~SparseCounter();
  SparseCounter(const SparseCounter&) = delete;
  SparseCounter& operator=(const SparseCounter&) = delete;

  // Number of pixels that count.
  std::uint64_t total() const { return total_; }
  // Number of occupied bins.
  std::size_t size() const;
  // `size` is what size() says.
  void write(std::size_t size, std::uint32_t* keys, std::uint32_t* counts) const;

 private:
  std::size_t bins_[kMostKeyedChannels] = {1, 1, 1};
  std::size_t all_bins_ = 1;
  std::vector<std::uint32_t> table_;  // of all bins, where these are few
  std::unique_ptr<ColorCounts> colors_;
  std::unique_ptr<SortedCounts> sorted_;
  std::uint64_t total_ = 0;

  friend double correlation(const SparseCounter& a, const SparseCounter& b);
};

// Pearson's correlation over all bins, of which both have the same numbers: as compare_sparse of
// the lists, without making them.
double correlation(const SparseCounter& a, const SparseCounter& b);

}  // namespace imgsim
