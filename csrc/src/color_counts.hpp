// Counters of 256^3 colours. A page of 4,096 of them, 16 levels of each channel, exists once one of
// its colours has been seen; in a page 4 x 4 x 4 colours share a cache line. The colours of a
// photograph lie near each other: its counters stay in the cache, and take some megabytes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <vector>

namespace imgsim {

class ColorCounts {
 public:
  struct Free {
    void operator()(std::uint8_t* bytes) const { std::free(bytes); }
  };
  // Zeros for all pages, of which the system gives those that are written to.
  using Scratch = std::unique_ptr<std::uint8_t[], Free>;

  // The scratch of an object that was finished with, or null. Takes at most so many pages.
  ColorCounts(Scratch scratch, std::size_t most_pages);

  // The number of a colour: its page, then its place there.
  static std::uint32_t number_of(std::size_t first, std::size_t second, std::size_t third) {
    return static_cast<std::uint32_t>((first >> 4) << 20 | (second >> 4) << 16 |
                                      (third >> 4) << 12 | (first & 12) << 8 | (second & 12) << 6 |
                                      (third & 12) << 4 | (first & 3) << 4 | (second & 3) << 2 |
                                      (third & 3));
  }

  // False where these would take too many pages.
  bool add(const std::uint32_t* numbers, std::size_t n);
  // Sets a colour's counter to 0 and returns what it was.
  std::uint64_t forget(std::uint32_t number);
  // To be called after the last of these.
  void finish();

  std::size_t occupied() const;
  // At most the square of the number of pixels.
  std::uint64_t squares() const;
  static std::uint64_t products(const ColorCounts& a, const ColorCounts& b);
  // Colours with a count, in the order of (first, second, third), whose key is
  // (first * bins[1] + second) * bins[2] + third.
  void write(const std::size_t* bins, std::size_t size, std::uint32_t* keys,
             std::uint32_t* counts) const;

  std::size_t pages() const { return end_ / kPage - 1; }
  // All 0 again; nothing else can be called then.
  Scratch take_scratch();

 private:
  static constexpr std::size_t kPage = 4096;

  // A byte that would reach 256 goes on from 128.
  static constexpr std::uint8_t kCarry = 128;
  struct Carry {
    std::uint32_t number, times;
  };

  std::uint32_t open_page(std::uint32_t page);
  void carry(std::uint32_t number);
  void merge_carries();
  std::uint64_t carried(std::uint32_t number) const;
  std::uint8_t byte_of(std::uint32_t number) const {
    return bytes_[pages_[number / kPage] + number % kPage];
  }
  std::uint64_t count_of(std::uint32_t number) const { return byte_of(number) + carried(number); }

  std::vector<std::uint32_t> pages_;  // where each begins in bytes_; 0: it does not exist
  Scratch bytes_;                     // from kPage on; before that zeros, for pages without counts
  std::size_t end_ = kPage, limit_;
  std::vector<Carry> carries_;  // finished: sorted, each number once
  std::size_t merge_at_ = 4096;
};

}  // namespace imgsim
