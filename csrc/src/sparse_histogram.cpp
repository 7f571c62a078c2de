#include "imgsim/sparse_histogram.hpp"

#include <algorithm>
#include <cstring>
#include <memory>
#include <vector>

#include "grey_rows.hpp"

namespace imgsim {
namespace {

constexpr std::size_t kChunk = 4096;         // keys that are made before they are used
constexpr std::size_t kTableBins = 1 << 16;  // up to here one table of counters holds all bins
constexpr unsigned kLowBits = 12;            // of a key, once the upper bits are sorted
constexpr std::size_t kLows = std::size_t{1} << kLowBits;

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

// The occupied bins that have been found, in their order. A key is written before it is known
// whether its bin is occupied, so there is room for one more.
struct Found {
  std::uint32_t* keys;
  std::uint32_t* counts;
  std::size_t size = 0;

  void add(std::size_t key, std::uint32_t count) {
    keys[size] = static_cast<std::uint32_t>(key);
    counts[size] = count;
    size += count != 0;
  }
};

void count_in_table(const KeyReader& reader, Found* found) {
  std::vector<std::uint32_t> table(reader.all_bins());
  reader.for_each_chunk([&](const std::uint32_t* keys, std::size_t n) {
    for (std::size_t i = 0; i < n; ++i) ++table[keys[i]];
  });
  for (std::size_t key = 0; key < table.size(); ++key) found->add(key, table[key]);
}

// Where the keys of each bucket of equal upper bits end, in kStreams parts: neighbouring pixels,
// which are alike, do not wait for each other's increment.
class Buckets {
 public:
  explicit Buckets(std::size_t all_bins)
      : size_(((all_bins - 1) >> kLowBits) + 1), ends_(size_ * kStreams) {}

  std::size_t size() const { return size_; }

  // Calls use(end, key) with the end of the part that the key belongs to.
  template <class Use>
  void for_each(const std::uint32_t* keys, std::size_t n, Use use) {
    const std::size_t stretch = n / kStreams;
    for (std::size_t i = 0; i < stretch; ++i)
      for (std::size_t s = 0; s < kStreams; ++s)
        use(ends_[s * size_ + (keys[s * stretch + i] >> kLowBits)], keys[s * stretch + i]);
    for (std::size_t i = kStreams * stretch; i < n; ++i)
      use(ends_[keys[i] >> kLowBits], keys[i]);
  }

  // Sizes become beginnings; returns the sum of all.
  std::uint32_t place() {
    std::uint32_t sum = 0;
    for (std::size_t bucket = 0; bucket < size_; ++bucket) {
      for (std::size_t s = 0; s < kStreams; ++s) {
        const std::uint32_t part = ends_[s * size_ + bucket];
        ends_[s * size_ + bucket] = sum;
        sum += part;
      }
    }
    return sum;
  }

  std::uint32_t end_of(std::size_t bucket) const { return ends_[(kStreams - 1) * size_ + bucket]; }

 private:
  static constexpr std::size_t kStreams = 4;
  std::size_t size_;
  std::vector<std::uint32_t> ends_;
};

// Counts the keys of one bucket; its tables are zero in between.
class BucketCounter {
 public:
  void add(const std::uint16_t* lows, std::size_t n) {
    for (std::size_t i = 0; i < n; ++i) {
      const std::size_t low = lows[i] & (kLows - 1);  // whatever a racing caller has left there
      ++counts_[low];
      touched_[low / kGroup] = 1;
    }
  }

  void move_to(Found* found, std::size_t upper) {
    for (std::size_t w = 0; w < sizeof touched_; w += sizeof(std::uint64_t)) {
      std::uint64_t word;
      std::memcpy(&word, touched_ + w, sizeof word);
      if (word == 0) continue;
      std::memset(touched_ + w, 0, sizeof word);
      for (std::size_t group = w; group < w + sizeof word; ++group, word >>= 8) {
        if ((word & 1) == 0) continue;
        std::uint32_t* counts = counts_ + group * kGroup;
        for (std::size_t i = 0; i < kGroup; ++i)
          found->add(upper | (group * kGroup + i), counts[i]);
        std::memset(counts, 0, kGroup * sizeof *counts);
      }
    }
  }

 private:
  static constexpr std::size_t kGroup = 8;
  std::uint32_t counts_[kLows] = {};
  std::uint8_t touched_[kLows / kGroup] = {};
};

void count_in_buckets(const KeyReader& reader, Found* found) {
  Buckets buckets(reader.all_bins());
  reader.for_each_chunk([&](const std::uint32_t* keys, std::size_t n) {
    buckets.for_each(keys, n, [](std::uint32_t& end, std::uint32_t) { ++end; });
  });
  const std::uint32_t pixels = buckets.place();
  const std::unique_ptr<std::uint16_t[]> lows(new std::uint16_t[pixels]);
  reader.for_each_chunk([&](const std::uint32_t* keys, std::size_t n) {
    buckets.for_each(keys, n, [&](std::uint32_t& end, std::uint32_t key) {
      // A caller who changes the image meanwhile must not lead this beyond the scratch.
      if (end < pixels) lows[end++] = static_cast<std::uint16_t>(key & (kLows - 1));
    });
  });
  BucketCounter counter;
  std::uint32_t begin = 0;
  for (std::size_t bucket = 0; bucket < buckets.size(); ++bucket) {
    const std::uint32_t end = buckets.end_of(bucket);
    if (end <= begin) continue;
    counter.add(lows.get() + begin, end - begin);
    counter.move_to(found, bucket << kLowBits);
    begin = end;
  }
}

}  // namespace

std::size_t sparse_histogram_room(const ImageView& image, const std::size_t* bins) {
  std::size_t all_bins = 1;
  for (std::size_t c = 0; c < image.channels; ++c) all_bins *= bins[c];
  return std::min(image.height * image.width, all_bins) + 1;
}

std::size_t sparse_histogram(const ImageView& image, const MaskView& mask, const std::size_t* bins,
                             std::uint32_t* keys, std::uint32_t* counts) {
  const KeyReader reader(image, mask, bins);
  Found found{keys, counts};
  if (reader.all_bins() <= kTableBins)
    count_in_table(reader, &found);
  else
    count_in_buckets(reader, &found);
  return found.size;
}

}  // namespace imgsim
