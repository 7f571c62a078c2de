// Joint histograms that list their occupied bins: a photograph fills some 2 % of 2^24.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "imgsim/views.hpp"

namespace imgsim {

// counts[i] > 0 pixels in bin keys[i]; keys ascend.
struct SparseView {
  const std::uint32_t* keys = nullptr;
  const std::uint32_t* counts = nullptr;
  std::size_t size = 0;
};

// Row r is [offsets[r], offsets[r + 1]).
struct SparseRows {
  const std::uint32_t* keys = nullptr;
  const std::uint32_t* counts = nullptr;
  const std::int64_t* offsets = nullptr;
  std::size_t rows = 0;

  SparseView row(std::size_t r) const {
    const auto begin = static_cast<std::size_t>(offsets[r]);
    return {keys + begin, counts + begin, static_cast<std::size_t>(offsets[r + 1]) - begin};
  }
};

constexpr std::size_t kMostKeyedChannels = 3;

constexpr std::uint64_t kNoKey = static_cast<std::uint64_t>(-1);

// Counts the joint bins of an 8-bit image of 1 to 3 channels and fewer than 2^32 pixels. Level v of
// channel c lies in bin v * bins[c] / 256 (rounded down) of bins[c] <= 256; the key counts the last
// channel fastest.
//
// Radix sort by the upper 12 of at most 24 bits, then one small table for the lower 12: some 4 ns
// and 2 bytes of scratch per pixel. Up to 4 MB of scratch are kept for the thread's next call.
class SparseCounter {
 public:
  // The bin `ignored`, if there is one of that key, is set to 0.
  SparseCounter(const ImageView& image, const MaskView& mask, const std::size_t* bins,
                std::uint64_t ignored);
  ~SparseCounter();
  SparseCounter(const SparseCounter&) = delete;
  SparseCounter& operator=(const SparseCounter&) = delete;

  // Number of occupied bins, and of the pixels in them.
  std::size_t size() const { return size_; }
  std::uint64_t total() const { return total_; }
  void write(std::uint32_t* keys, std::uint32_t* counts) const;

 private:
  std::vector<std::uint32_t> table_;     // of all bins, where these are few
  std::vector<std::size_t> in_buckets_;  // else the number of occupied bins in each bucket,
  std::vector<std::uint16_t> packed_;    // and these, as KernelTable::pack_counts lists them
  std::size_t size_ = 0;
  std::uint64_t total_ = 0;
};

}  // namespace imgsim
