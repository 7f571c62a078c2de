#include "imgsim/sparse_histogram.hpp"

#include <algorithm>
#include <vector>

#include "grey_rows.hpp"
#include "kernels/kernel_table.hpp"

namespace imgsim {
namespace {

constexpr std::size_t kChunk = 4096;           // keys that are made before they are used
constexpr std::size_t kTableBins = 1 << 16;    // up to here one table of counters holds all bins
constexpr unsigned kLowBits = kPackedKeyBits;  // of a key, once the upper bits are sorted
constexpr std::size_t kLows = std::size_t{1} << kLowBits;

// ---- pixels -> keys --------------------------------------------------------------------------

// The key of pixel i of packed RGB with 256 bins each: its three bytes.
struct PackedKeys {
  const std::uint8_t* pixels;

  std::uint32_t operator[](std::size_t i) const {
    const std::uint8_t* pixel = pixels + 3 * i;
    return static_cast<std::uint32_t>(pixel[0]) << 16 | static_cast<std::uint32_t>(pixel[1]) << 8 |
           pixel[2];
  }
};

class KeyReader {
 public:
  KeyReader(const ImageView& image, const MaskView& mask, const std::size_t* bins)
      : image_(mask.data == nullptr ? flattened(image) : image), mask_(mask) {
    packed_ = mask.data == nullptr && image.channels == 3 && image.pixel_stride == 3 &&
              image.channel_stride == 1;
    for (std::size_t c = image.channels; c-- > 0; all_bins_ *= bins[c]) {
      packed_ = packed_ && bins[c] == 256;
      for (std::size_t v = 0; v < 256; ++v)
        offsets_[c][v] = static_cast<std::uint32_t>(v * bins[c] / 256 * all_bins_);
    }
  }

  std::size_t all_bins() const { return all_bins_; }

  // Calls use(keys, n) with stretches of keys, which together are those of the selected pixels in
  // their order.
  template <class Use>
  void for_each_stretch(Use use) const {
    for (std::size_t y = 0; y < image_.height; ++y) {
      if (packed_) {
        use(PackedKeys{pixel_at(image_, y, 0)}, image_.width);
        continue;
      }
      std::uint32_t keys[kChunk];
      for (std::size_t x = 0; x < image_.width; x += kChunk) {
        const std::size_t n = fill(y, x, std::min(kChunk, image_.width - x), keys);
        use(static_cast<const std::uint32_t*>(keys), n);
      }
    }
  }

 private:
  std::size_t fill(std::size_t y, std::size_t x, std::size_t n, std::uint32_t* keys) const {
    const std::uint8_t* pixel = pixel_at(image_, y, x);
    if (mask_.data == nullptr) {
      for (std::size_t i = 0; i < n; ++i, pixel += image_.pixel_stride) keys[i] = key_of(pixel);
      return n;
    }
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
  bool packed_;
  std::size_t all_bins_ = 1;
  std::uint32_t offsets_[kMostKeyedChannels][256];
};

// ---- counting --------------------------------------------------------------------------------

constexpr std::size_t kMostKept = std::size_t{1} << 21;

// Scratch of the thread's last counter, for its next one: fresh memory costs as much as sorting.
thread_local std::vector<std::uint16_t> kept;

void grow(std::vector<std::uint16_t>* scratch, std::size_t n) {
  if (scratch->size() >= n) return;
  std::vector<std::uint16_t>().swap(*scratch);  // before there are both
  scratch->resize(n);
}

// Where the keys of each bucket of equal upper bits end, in kStreams parts: neighbouring pixels,
// which are alike, do not wait for each other's increment.
class Buckets {
 public:
  explicit Buckets(std::size_t all_bins)
      : size_(((all_bins - 1) >> kLowBits) + 1), ends_(size_ * kStreams) {}

  std::size_t size() const { return size_; }

  // Calls use(end, key) with the end of the part that the key belongs to.
  template <class Keys, class Use>
  void for_each(const Keys& keys, std::size_t n, Use use) {
    std::uint32_t* ends = ends_.data();
    const std::size_t stretch = n / kStreams;
    for (std::size_t i = 0; i < stretch; ++i) {
      for (std::size_t s = 0; s < kStreams; ++s) {
        const std::uint32_t key = keys[s * stretch + i];
        use(ends[s * size_ + (key >> kLowBits)], key);
      }
    }
    for (std::size_t i = kStreams * stretch; i < n; ++i) {
      const std::uint32_t key = keys[i];
      use(ends[key >> kLowBits], key);
    }
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
      touched_[low / kCountGroup] = 1;
    }
  }

  // Sets a bin to 0 and returns its count.
  std::uint32_t forget(std::size_t low) {
    const std::uint32_t count = counts_[low];
    counts_[low] = 0;
    return count;
  }

  std::uint16_t* move_to(std::uint16_t* packed, std::size_t* occupied) {
    return kernels().pack_counts(counts_, touched_, sizeof touched_, packed, occupied);
  }

 private:
  std::uint32_t counts_[kLows] = {};
  std::uint8_t touched_[kLows / kCountGroup] = {};
};

// Returns the number of occupied bins in each bucket; the bins lie packed in the scratch.
std::vector<std::size_t> count_in_buckets(const KeyReader& reader, std::uint64_t ignored,
                                          std::vector<std::uint16_t>* scratch,
                                          std::uint64_t* total) {
  Buckets buckets(reader.all_bins());
  reader.for_each_stretch([&](const auto& keys, std::size_t n) {
    buckets.for_each(keys, n, [](std::uint32_t& end, std::uint32_t) { ++end; });
  });
  const std::uint32_t pixels = buckets.place();
  *total = pixels;
  // No bin takes more packed elements than it has pixels, so they fit where the pixels of their
  // bucket were, apart from what is overwritten behind them.
  grow(scratch, std::size_t{pixels} + kCountGroup);
  std::uint16_t* const lows = scratch->data() + kCountGroup;
  reader.for_each_stretch([&](const auto& keys, std::size_t n) {
    buckets.for_each(keys, n, [&](std::uint32_t& end, std::uint32_t key) {
      // A caller who changes the image meanwhile must not lead this beyond the scratch.
      if (end < pixels) lows[end++] = static_cast<std::uint16_t>(key & (kLows - 1));
    });
  });
  std::vector<std::size_t> occupied(buckets.size());
  std::uint16_t* packed = scratch->data();
  BucketCounter counter;
  std::uint32_t begin = 0;
  for (std::size_t bucket = 0; bucket < buckets.size(); ++bucket) {
    const std::uint32_t end = buckets.end_of(bucket);
    if (end <= begin) continue;
    counter.add(lows + begin, end - begin);
    if (bucket == ignored >> kLowBits) *total -= counter.forget(ignored & (kLows - 1));
    packed = counter.move_to(packed, &occupied[bucket]);
    begin = end;
  }
  return occupied;
}

std::vector<std::uint32_t> count_in_table(const KeyReader& reader) {
  std::vector<std::uint32_t> table(reader.all_bins());
  reader.for_each_stretch([&](const auto& keys, std::size_t n) {
    for (std::size_t i = 0; i < n; ++i) ++table[keys[i]];
  });
  return table;
}

}  // namespace

SparseCounter::SparseCounter(const ImageView& image, const MaskView& mask, const std::size_t* bins,
                             std::uint64_t ignored) {
  const KeyReader reader(image, mask, bins);
  if (reader.all_bins() <= kTableBins) {
    table_ = count_in_table(reader);
    if (ignored < table_.size()) table_[static_cast<std::size_t>(ignored)] = 0;
    for (const std::uint32_t count : table_) {
      size_ += count != 0;
      total_ += count;
    }
  } else {
    packed_.swap(kept);
    in_buckets_ = count_in_buckets(reader, ignored, &packed_, &total_);
    for (const std::size_t occupied : in_buckets_) size_ += occupied;
  }
}

SparseCounter::~SparseCounter() {
  if (packed_.size() > kept.size() && packed_.size() <= kMostKept) packed_.swap(kept);
}

void SparseCounter::write(std::uint32_t* keys, std::uint32_t* counts) const {
  for (std::size_t key = 0; key < table_.size(); ++key) {
    if (table_[key] == 0) continue;
    *keys++ = static_cast<std::uint32_t>(key);
    *counts++ = table_[key];
  }
  const std::uint16_t* packed = packed_.data();
  for (std::size_t bucket = 0; bucket < in_buckets_.size(); ++bucket) {
    const auto upper = static_cast<std::uint32_t>(bucket << kLowBits);
    for (std::size_t i = 0; i < in_buckets_[bucket]; ++i) {
      const std::uint32_t element = *packed++;
      std::uint32_t count = element >> kLowBits;
      if (count == 0) {
        count = packed[0] | std::uint32_t{packed[1]} << 16;
        packed += 2;
      }
      *keys++ = upper | (element & (kLows - 1));
      *counts++ = count;
    }
  }
}

}  // namespace imgsim
