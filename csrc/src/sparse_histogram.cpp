#include "imgsim/sparse_histogram.hpp"

#include <algorithm>
#include <cstring>
#include <memory>

#ifdef _MSC_VER
#include <intrin.h>
#endif

#include "grey_rows.hpp"

namespace imgsim {
namespace {

constexpr std::size_t kChunk = 4096;         // keys that are made before they are used
constexpr std::size_t kTableBins = 1 << 16;  // up to here one table of counters holds all bins
constexpr unsigned kLowBits = 12;            // of a key, once the upper bits are sorted
constexpr std::size_t kLows = std::size_t{1} << kLowBits;

std::size_t lowest_bit(std::uint64_t word) {
#ifdef _MSC_VER
  unsigned long index;
  _BitScanForward64(&index, word);
  return index;
#else
  return static_cast<std::size_t>(__builtin_ctzll(word));
#endif
}

// ---- pixels -> keys --------------------------------------------------------------------------

class KeyReader {
 public:
  KeyReader(const ImageView& image, const MaskView& mask, const std::size_t* bins)
      : image_(mask.data == nullptr ? flattened(image) : image), mask_(mask) {
    all_levels_ = image.channels == 3 && image.pixel_stride == 3 && image.channel_stride == 1;
    for (std::size_t c = image.channels; c-- > 0; all_bins_ *= bins[c]) {
      all_levels_ = all_levels_ && bins[c] == 256;
      for (std::size_t v = 0; v < 256; ++v)
        offsets_[c][v] = static_cast<std::uint32_t>(v * bins[c] / 256 * all_bins_);
    }
  }

  std::size_t all_bins() const { return all_bins_; }

  // Calls use(keys, n) over chunks of at most kChunk keys, which together are those of the selected
  // pixels in their order.
  template <class Use>
  void for_each_chunk(Use use) const {
    std::uint32_t keys[kChunk];
    for (std::size_t y = 0; y < image_.height; ++y) {
      for (std::size_t x = 0; x < image_.width; x += kChunk) {
        const std::size_t n = std::min(kChunk, image_.width - x);
        use(static_cast<const std::uint32_t*>(keys), fill(y, x, n, keys));
      }
    }
  }

 private:
  std::size_t fill(std::size_t y, std::size_t x, std::size_t n, std::uint32_t* keys) const {
    const std::uint8_t* pixel = pixel_at(image_, y, x);
    if (mask_.data != nullptr) return fill_selected(pixel, y, x, n, keys);
    if (all_levels_) {
      for (std::size_t i = 0; i < n; ++i, pixel += 3)
        keys[i] = static_cast<std::uint32_t>(pixel[0]) << 16 |
                  static_cast<std::uint32_t>(pixel[1]) << 8 | pixel[2];
    } else {
      for (std::size_t i = 0; i < n; ++i, pixel += image_.pixel_stride) keys[i] = key_of(pixel);
    }
    return n;
  }

  std::size_t fill_selected(const std::uint8_t* pixel, std::size_t y, std::size_t x, std::size_t n,
                            std::uint32_t* keys) const {
    const std::uint8_t* selected = mask_.data + static_cast<std::ptrdiff_t>(y) * mask_.row_stride +
                                   static_cast<std::ptrdiff_t>(x) * mask_.pixel_stride;
    std::size_t filled = 0;
    for (std::size_t i = 0; i < n; ++i) {
      keys[filled] = key_of(pixel);
      filled += *selected != 0;
      pixel += image_.pixel_stride;
      selected += mask_.pixel_stride;
    }
    return filled;
  }

  std::uint32_t key_of(const std::uint8_t* pixel) const {
    std::uint32_t key = offsets_[0][pixel[0]];
    for (std::size_t c = 1; c < image_.channels; ++c) {
      pixel += image_.channel_stride;
      key += offsets_[c][*pixel];
    }
    return key;
  }

  ImageView image_;
  MaskView mask_;
  bool all_levels_;  // packed RGB into 256 bins each: the key is the pixel's bytes
  std::size_t all_bins_ = 1;
  std::uint32_t offsets_[kMostKeyedChannels][256];
};

// ---- counting --------------------------------------------------------------------------------

SparseCounts count_in_table(const KeyReader& reader) {
  std::vector<std::uint32_t> table(reader.all_bins());
  reader.for_each_chunk([&](const std::uint32_t* keys, std::size_t n) {
    for (std::size_t i = 0; i < n; ++i) ++table[keys[i]];
  });
  SparseCounts found;
  const auto occupied = table.size() - static_cast<std::size_t>(
                                           std::count(table.begin(), table.end(), 0U));
  found.keys.reserve(occupied);
  found.counts.reserve(occupied);
  for (std::size_t key = 0; key < table.size(); ++key) {
    if (table[key] == 0) continue;
    found.keys.push_back(static_cast<std::uint32_t>(key));
    found.counts.push_back(table[key]);
  }
  return found;
}

// Counts the keys of one bucket, which share their upper bits, in tables that are zero in between.
class BucketCounter {
 public:
  void add(const std::uint16_t* lows, std::size_t n) {
    for (std::size_t i = 0; i < n; ++i) {
      const std::size_t low = lows[i];
      ++counts_[low];
      occupied_[low / 64] |= std::uint64_t{1} << (low % 64);
    }
  }

  void append_to(SparseCounts* found, std::uint32_t upper) {
    for (std::size_t w = 0; w < kLows / 64; ++w) {
      for (std::uint64_t word = occupied_[w]; word != 0; word &= word - 1) {
        const std::size_t low = w * 64 + lowest_bit(word);
        found->keys.push_back(upper | static_cast<std::uint32_t>(low));
        found->counts.push_back(counts_[low]);
        counts_[low] = 0;
      }
      occupied_[w] = 0;
    }
  }

 private:
  std::uint32_t counts_[kLows] = {};
  std::uint64_t occupied_[kLows / 64] = {};
};

SparseCounts count_in_buckets(const KeyReader& reader) {
  const std::size_t buckets = ((reader.all_bins() - 1) >> kLowBits) + 1;
  std::vector<std::uint32_t> ends(buckets);
  reader.for_each_chunk([&](const std::uint32_t* keys, std::size_t n) {
    for (std::size_t i = 0; i < n; ++i) ++ends[keys[i] >> kLowBits];
  });
  std::uint32_t pixels = 0;
  for (std::uint32_t& end : ends) {  // becomes the bucket's beginning, and its end while it fills
    const std::uint32_t size = end;
    end = pixels;
    pixels += size;
  }
  const std::unique_ptr<std::uint16_t[]> lows(new std::uint16_t[pixels]);
  reader.for_each_chunk([&](const std::uint32_t* keys, std::size_t n) {
    for (std::size_t i = 0; i < n; ++i) {
      std::uint32_t& end = ends[keys[i] >> kLowBits];
      // A caller who changes the image meanwhile must not lead this beyond the scratch.
      if (end < pixels) lows[end++] = static_cast<std::uint16_t>(keys[i] & (kLows - 1));
    }
  });
  SparseCounts found;
  BucketCounter counter;
  std::uint32_t begin = 0;
  for (std::size_t bucket = 0; bucket < buckets; ++bucket) {
    const std::uint32_t end = ends[bucket];
    if (end <= begin) continue;
    counter.add(lows.get() + begin, end - begin);
    counter.append_to(&found, static_cast<std::uint32_t>(bucket << kLowBits));
    begin = end;
  }
  return found;
}

}  // namespace

SparseCounts sparse_histogram(const ImageView& image, const MaskView& mask,
                              const std::size_t* bins) {
  const KeyReader reader(image, mask, bins);
  return reader.all_bins() <= kTableBins ? count_in_table(reader) : count_in_buckets(reader);
}

}  // namespace imgsim
