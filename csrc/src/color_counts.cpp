#include "color_counts.hpp"

#include <algorithm>
#include <array>
#include <cstring>
#include <new>
#include <utility>

#include "kernels/kernel_table.hpp"

namespace imgsim {
namespace {

constexpr std::size_t kPages = 4096;
constexpr std::size_t kGroup = 16;  // levels of each channel in a page

struct Levels {
  std::size_t first, second, third;
};

// The inverse of number_of.
Levels levels_of(std::uint32_t number) {
  const auto level = [number](unsigned page, unsigned fours, unsigned ones) {
    return std::size_t{(number >> page & 15) << 4 | (number >> fours & 3) << 2 |
                       (number >> ones & 3)};
  };
  return {level(20, 10, 4), level(16, 8, 2), level(12, 6, 0)};
}

}  // namespace

ColorCounts::ColorCounts(Scratch scratch, std::size_t most_pages)
    : pages_(kPages),
      bytes_(std::move(scratch)),
      limit_((std::min(most_pages, kPages) + 1) * kPage) {
  if (bytes_ != nullptr) return;
  bytes_.reset(static_cast<std::uint8_t*>(std::calloc(kPages + 1, kPage)));
  if (bytes_ == nullptr) throw std::bad_alloc();
}

// 0 where there are too many.
std::uint32_t ColorCounts::open_page(std::uint32_t page) {
  if (end_ == limit_) return 0;
  pages_[page] = static_cast<std::uint32_t>(end_);
  end_ += kPage;
  return pages_[page];
}

void ColorCounts::carry(std::uint32_t number) {
  if (!carries_.empty() && carries_.back().number == number) {
    ++carries_.back().times;
    return;
  }
  if (carries_.size() >= merge_at_) {
    merge_carries();
    merge_at_ = std::max(merge_at_, 2 * carries_.size());
  }
  carries_.push_back({number, 1});
}

void ColorCounts::merge_carries() {
  std::sort(carries_.begin(), carries_.end(),
            [](const Carry& a, const Carry& b) { return a.number < b.number; });
  std::size_t kept = 0;
  for (const Carry& next : carries_) {
    if (kept > 0 && carries_[kept - 1].number == next.number)
      carries_[kept - 1].times += next.times;
    else
      carries_[kept++] = next;
  }
  carries_.resize(kept);
}

bool ColorCounts::add(const std::uint32_t* numbers, std::size_t n) {
  std::uint8_t* const bytes = bytes_.get();
  const std::uint32_t* const pages = pages_.data();
  const auto count = [&](std::uint32_t number) {
    std::uint32_t begin = pages[number / kPage];
    if (begin == 0) {
      begin = open_page(number / kPage);
      if (begin == 0) return false;
    }
    std::uint8_t* const byte = bytes + (begin + number % kPage);
    if (++*byte == 0) {
      *byte = kCarry;
      carry(number);
    }
    return true;
  };
  // Neighbouring pixels, which are alike, would wait for each other's increment.
  constexpr std::size_t kStreams = 4;
  const std::size_t stretch = n / kStreams;
  for (std::size_t i = 0; i < stretch; ++i)
    for (std::size_t s = 0; s < kStreams; ++s)
      if (!count(numbers[s * stretch + i])) return false;
  for (std::size_t i = kStreams * stretch; i < n; ++i)
    if (!count(numbers[i])) return false;
  return true;
}

void ColorCounts::finish() {
  merge_carries();
}

std::uint64_t ColorCounts::carried(std::uint32_t number) const {
  const auto found = std::lower_bound(
      carries_.begin(), carries_.end(), number,
      [](const Carry& carry, std::uint32_t wanted) { return carry.number < wanted; });
  return found != carries_.end() && found->number == number ? std::uint64_t{kCarry} * found->times
                                                            : 0;
}

std::uint64_t ColorCounts::forget(std::uint32_t number) {
  const std::uint32_t begin = pages_[number / kPage];
  if (begin == 0) return 0;
  merge_carries();
  const std::uint64_t count = count_of(number);
  bytes_[begin + number % kPage] = 0;
  carries_.erase(std::remove_if(carries_.begin(), carries_.end(),
                                [number](const Carry& carry) { return carry.number == number; }),
                 carries_.end());
  return count;
}

std::size_t ColorCounts::occupied() const {
  const std::uint8_t one = 1;
  std::uint64_t found = 0;
  kernels().count_at_least_u8(bytes_.get() + kPage, end_ - kPage, &one, 1, &found);
  return static_cast<std::size_t>(found);
}

std::uint64_t ColorCounts::squares() const {
  std::uint64_t sum = 0;
  for (std::size_t begin = kPage; begin < end_; begin += kPage)
    sum += kernels().dot_u8(bytes_.get() + begin, bytes_.get() + begin, kPage);
  for (const Carry& carry : carries_) {
    const std::uint64_t byte = byte_of(carry.number), count = count_of(carry.number);
    sum += count * count - byte * byte;
  }
  return sum;
}

std::uint64_t ColorCounts::products(const ColorCounts& a, const ColorCounts& b) {
  std::uint64_t sum = 0;
  for (std::size_t page = 0; page < kPages; ++page) {
    const std::uint32_t in_a = a.pages_[page], in_b = b.pages_[page];
    if (in_a != 0 && in_b != 0)
      sum += kernels().dot_u8(a.bytes_.get() + in_a, b.bytes_.get() + in_b, kPage);
  }
  const auto correct = [&](std::uint32_t number) {
    sum += a.count_of(number) * b.count_of(number) -
           std::uint64_t{a.byte_of(number)} * b.byte_of(number);
  };
  for (const Carry& carry : a.carries_) correct(carry.number);
  for (const Carry& carry : b.carries_)
    if (a.carried(carry.number) == 0) correct(carry.number);
  return sum;
}

namespace {

// Lists counters that are not 0, of which there are `left`.
class Listing {
 public:
  Listing(std::uint32_t* keys, std::uint32_t* counts, std::size_t left)
      : keys_(keys), counts_(counts), left_(left) {}

  // Four neighbours from `key` on. Without a branch that could be guessed wrong, as long as all
  // four have room.
  void add(const std::uint8_t* bytes, std::uint32_t key) {
    std::uint32_t all;
    std::memcpy(&all, bytes, sizeof all);
    if (all == 0) return;
    std::size_t n = 0;
    for (std::size_t i = 0; i < 4; ++i) {
      if (left_ < 4 && bytes[i] == 0) continue;
      keys_[n] = key + static_cast<std::uint32_t>(i);
      counts_[n] = bytes[i];
      n += bytes[i] != 0;
    }
    keys_ += n;
    counts_ += n;
    left_ -= n;
  }

 private:
  std::uint32_t *keys_, *counts_;
  std::size_t left_;
};

}  // namespace

void ColorCounts::write(const std::size_t* bins, std::size_t size, std::uint32_t* keys,
                        std::uint32_t* counts) const {
  Listing list(keys, counts, size);
  for (std::size_t first = 0; first < bins[0]; ++first) {
    for (std::size_t group = 0; group < bins[1]; group += kGroup) {
      const std::uint32_t* in_row = &pages_[(first / kGroup * kGroup + group / kGroup) * kGroup];
      std::array<std::size_t, kGroup> there;
      std::size_t there_n = 0;
      for (std::size_t g = 0; g < kGroup; ++g)
        if (in_row[g] != 0) there[there_n++] = g;
      for (std::size_t k = 0; k < kGroup && there_n > 0 && group + k < bins[1]; ++k) {
        const std::size_t row = (first * bins[1] + group + k) * bins[2];
        const std::size_t place = number_of(first % kGroup, k, 0);
        for (std::size_t t = 0; t < there_n; ++t) {
          const std::uint8_t* bytes = &bytes_[in_row[there[t]] + place];
          const std::size_t key = row + there[t] * kGroup;
          for (std::size_t four = 0; four < kGroup / 4; ++four)
            list.add(bytes + 64 * four, static_cast<std::uint32_t>(key + 4 * four));
        }
      }
    }
  }
  for (const Carry& carry : carries_) {
    const Levels at = levels_of(carry.number);
    const std::size_t key = (at.first * bins[1] + at.second) * bins[2] + at.third;
    const std::uint32_t* found = std::lower_bound(keys, keys + size, key);
    counts[found - keys] += carry.times * kCarry;
  }
}

ColorCounts::Scratch ColorCounts::take_scratch() {
  std::fill(bytes_.get() + kPage, bytes_.get() + end_, std::uint8_t{0});
  return std::move(bytes_);
}

}  // namespace imgsim
