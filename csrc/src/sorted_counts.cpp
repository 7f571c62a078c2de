#include "sorted_counts.hpp"

#include <numeric>

namespace imgsim {
namespace {

constexpr unsigned kLowBits = kPackedKeyBits;  // of a key, once the upper bits are sorted
constexpr std::size_t kLows = std::size_t{1} << kLowBits;

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
  template <class Use>
  void for_each(const std::uint32_t* keys, std::size_t n, Use use) {
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

}  // namespace

SortedCounts::SortedCounts(const KeyReader& reader, std::size_t all_bins, std::uint64_t ignored,
                           std::vector<std::uint16_t> scratch)
    : packed_(std::move(scratch)) {
  Buckets buckets(all_bins);
  reader.for_each_stretch([&](const std::uint32_t* keys, std::size_t n) {
    buckets.for_each(keys, n, [](std::uint32_t& end, std::uint32_t) { ++end; });
    return true;
  });
  const std::uint32_t pixels = buckets.place();
  total_ = pixels;
  // No bin takes more packed elements than it has pixels, so they fit where the pixels of their
  // bucket were, apart from what is overwritten behind them.
  grow(&packed_, std::size_t{pixels} + kCountGroup);
  std::uint16_t* const lows = packed_.data() + kCountGroup;
  reader.for_each_stretch([&](const std::uint32_t* keys, std::size_t n) {
    buckets.for_each(keys, n, [&](std::uint32_t& end, std::uint32_t key) {
      // A caller who changes the image meanwhile must not lead this beyond the scratch.
      if (end < pixels) lows[end++] = static_cast<std::uint16_t>(key & (kLows - 1));
    });
    return true;
  });
  in_buckets_.resize(buckets.size());
  std::uint16_t* packed = packed_.data();
  BucketCounter counter;
  std::uint32_t begin = 0;
  for (std::size_t bucket = 0; bucket < buckets.size(); ++bucket) {
    const std::uint32_t end = buckets.end_of(bucket);
    if (end <= begin) continue;
    counter.add(lows + begin, end - begin);
    if (bucket == ignored >> kLowBits) total_ -= counter.forget(ignored & (kLows - 1));
    packed = counter.move_to(packed, &in_buckets_[bucket]);
    begin = end;
  }
}

std::size_t SortedCounts::occupied() const {
  return std::accumulate(in_buckets_.begin(), in_buckets_.end(), std::size_t{0});
}

void SortedCounts::write(std::uint32_t* keys, std::uint32_t* counts) const {
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
