// Counters of up to 2^24 bins by sorting: 2 bytes of scratch per pixel however scattered the bins.
#pragma once

#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

#include "kernels/kernel_table.hpp"
#include "pixel_keys.hpp"

namespace imgsim {

// Radix sort by the upper 12 of at most 24 bits, then one small table for the lower 12.
class SortedCounts {
 public:
  // The bin `ignored`, if there is one of that key, is set to 0. The scratch is that of an object
  // that was finished with, or empty.
  SortedCounts(const KeyReader& reader, std::size_t all_bins, std::uint64_t ignored,
               std::vector<std::uint16_t> scratch);

  // Number of occupied bins, and of the pixels in them.
  std::size_t occupied() const;
  std::uint64_t total() const { return total_; }
  void write(std::uint32_t* keys, std::uint32_t* counts) const;
  std::vector<std::uint16_t> take_scratch() { return std::move(packed_); }

 private:
  std::vector<std::size_t> in_buckets_;  // the number of occupied bins in each bucket,
  std::vector<std::uint16_t> packed_;    // and these, as KernelTable::pack_counts lists them
  std::uint64_t total_ = 0;
};

}  // namespace imgsim
