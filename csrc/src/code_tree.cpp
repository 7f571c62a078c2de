#include "imgsim/code_tree.hpp"

#include <algorithm>
#include <array>
#include <cstring>
#include <utility>
#include <vector>

#include "coded/prefetch.hpp"

namespace imgsim {
namespace {

using coded::prefetch;

struct Item {
  std::array<std::uint8_t, kHalfCode> code;
  std::uint32_t row;
};

// Leaves [first, last).
struct Span {
  std::size_t first, last;
};

constexpr double kNanosecondsPerSplit = 6.0;  // and row
constexpr std::size_t kOneThread = 64;        // leaves that fit into the second-level cache
constexpr std::size_t kTogether = kGroupRows / kLeafRows;

// The byte of the largest variance in a sample.
std::size_t widest(const Item* items, std::size_t n) {
  constexpr std::size_t kSample = 512;
  const std::size_t step = (n + kSample - 1) / kSample, sampled = (n + step - 1) / step;
  std::array<std::uint64_t, kHalfCode> sum = {}, squares = {};
  for (std::size_t i = 0; i < n; i += step)
    for (std::size_t p = 0; p < kHalfCode; ++p) {
      const std::uint64_t value = items[i].code[p];
      sum[p] += value;
      squares[p] += value * value;
    }
  std::size_t best = 0;
  std::uint64_t most = 0;
  for (std::size_t p = 0; p < kHalfCode; ++p) {
    const std::uint64_t variance = sampled * squares[p] - sum[p] * sum[p];
    if (variance > most) {
      most = variance;
      best = p;
    }
  }
  return best;
}

// Puts the `front` smallest by byte p in front.
void divide(Item* items, std::size_t n, std::size_t p, std::size_t front) {
  constexpr std::size_t kApart = 4;  // counters of one value, lest one wait for the other
  std::array<std::array<std::uint32_t, 256>, kApart> counts = {};
  for (std::size_t i = 0; i < n; ++i) ++counts[i % kApart][items[i].code[p]];
  const auto count = [&](std::size_t value) {
    std::size_t sum = 0;
    for (const auto& some : counts) sum += some[value];
    return sum;
  };
  std::size_t middle = 0, less = 0;
  while (less + count(middle) < front) less += count(middle++);
  // Of those that have the middle value the first ones. Without branches: nobody can foretell them.
  std::size_t of_middle = front - less, in_front = 0;
  for (std::size_t i = 0; i < n; ++i) {
    const Item item = items[i];
    const std::size_t value = item.code[p];
    const auto taken = static_cast<std::size_t>((value == middle) & (of_middle != 0));
    of_middle -= taken;
    items[i] = items[in_front];
    items[in_front] = item;
    in_front += static_cast<std::size_t>(value < middle) | taken;
  }
}

// Divides all items of a span; returns the leaf where its second half begins.
std::size_t halve(Item* items, std::size_t n, const Span& span) {
  const std::size_t leaves = span.last - span.first;
  const std::size_t unit = leaves > kTogether ? kTogether : 1;  // groups are subtrees
  const std::size_t units = (leaves + unit - 1) / unit;
  const std::size_t middle = span.first + (units + 1) / 2 * unit;
  const std::size_t begin = span.first * kLeafRows, end = std::min(n, span.last * kLeafRows);
  divide(items + begin, end - begin, widest(items + begin, end - begin),
         middle * kLeafRows - begin);
  return middle;
}

void halve_all(Item* items, std::size_t n, const Span& span) {
  if (span.last - span.first < 2) return;
  const std::size_t middle = halve(items, n, span);
  halve_all(items, n, {span.first, middle});
  halve_all(items, n, {middle, span.last});
}

bool sort(std::vector<Item>* items, std::size_t threads, const Cancel& cancel) {
  const std::size_t n = items->size();
  std::vector<Span> large, small;
  const auto put = [&](const Span& span) {
    (span.last - span.first > kOneThread ? large : small).push_back(span);
  };
  put({0, CodeTree<std::uint8_t>::leaf_count(n)});
  const double time = kNanosecondsPerSplit * static_cast<double>(n);
  while (!large.empty()) {
    std::vector<std::size_t> middles(large.size());
    const auto split = [&](std::size_t begin, std::size_t end) {
      for (std::size_t i = begin; i < end; ++i) middles[i] = halve(items->data(), n, large[i]);
    };
    if (!parallel_for(large.size(), 1, useful_threads(threads, time), cancel, split)) return false;
    const std::vector<Span> done = std::move(large);
    large.clear();
    for (std::size_t i = 0; i < done.size(); ++i) {
      put({done[i].first, middles[i]});
      put({middles[i], done[i].last});
    }
  }
  return parallel_for(small.size(), 1, useful_threads(threads, 6 * time), cancel,
                      [&](std::size_t begin, std::size_t end) {
                        for (std::size_t i = begin; i < end; ++i)
                          halve_all(items->data(), n, small[i]);
                      });
}

struct Box {
  Box() { least.fill(0xffff); }
  void add(const Box& other) {
    for (std::size_t p = 0; p < kHalfCode; ++p) {
      least[p] = std::min(least[p], other.least[p]);
      largest[p] = std::max(largest[p], other.largest[p]);
    }
  }
  void add(const std::uint8_t* coarse, const std::uint8_t* remainders) {
    for (std::size_t p = 0; p < kHalfCode; ++p) {
      const std::uint16_t parts = CdfCoder::parts_below(coarse[p], remainders[p]);
      least[p] = std::min(least[p], parts);
      largest[p] = std::max(largest[p], static_cast<std::uint16_t>(parts + 1));
    }
  }
  // As number i of 16.
  void write(std::uint8_t* boxes, std::size_t i) const {
    const auto put = [i](std::uint16_t value, std::uint8_t* side) {
      side[2 * i] = static_cast<std::uint8_t>(value);
      side[2 * i + 1] = static_cast<std::uint8_t>(value >> 8);
    };
    for (std::size_t p = 0; p < kHalfCode; ++p) {
      put(least[p], boxes + 2 * p * kSideBytes);
      put(largest[p], boxes + (2 * p + 1) * kSideBytes);
    }
  }
  std::array<std::uint16_t, kHalfCode> least, largest = {};
};

}  // namespace

bool arrange_codes(const std::uint8_t* raw, std::size_t n, std::size_t threads,
                   const Cancel& cancel, std::uint8_t* tree) {
  using Tree = CodeTree<std::uint8_t>;
  const auto from = CodeArrays<const std::uint8_t>::in(raw, n);
  const std::uint8_t* remainders = raw + n * kCodeBytes;
  const Tree to = Tree::in(tree, n);
  std::vector<Item> items(n);
  for (std::size_t row = 0; row < n; ++row) {
    std::memcpy(items[row].code.data(), from.coarse_of(row), kHalfCode);
    items[row].row = static_cast<std::uint32_t>(row);
  }
  if (!sort(&items, threads, cancel)) return false;
  std::fill(to.leaves, tree + Tree::bytes(n), std::uint8_t{0});
  constexpr std::size_t kAhead = 16;  // rows anywhere, that are waited for together
  const auto write = [&](std::size_t group) {
    Box all;
    const std::size_t first = group * kGroupRows, last = std::min(n, first + kGroupRows);
    for (std::size_t begin = first; begin < last; begin += kLeafRows) {
      Box box;
      for (std::size_t place = begin; place < std::min(last, begin + kLeafRows); ++place) {
        const Item& item = items[place];
        if (place + kAhead < n) {
          prefetch(from.fine_of(items[place + kAhead].row));
          prefetch(remainders + items[place + kAhead].row * kHalfCode);
        }
        std::memcpy(to.codes.coarse_of(place), item.code.data(), kHalfCode);
        std::memcpy(to.codes.fine_of(place), from.fine_of(item.row), kRest);
        to.set_row(place, item.row);
        box.add(item.code.data(), remainders + item.row * kHalfCode);
      }
      box.write(to.leaves_of(group), (begin - first) / kLeafRows);
      all.add(box);
    }
    constexpr std::size_t kGroups = kBlockRows / kGroupRows;
    all.write(to.groups_of(group / kGroups), group % kGroups);
  };
  return parallel_for(Tree::group_count(n), 16,
                      useful_threads(threads, 20.0 * static_cast<double>(n)), cancel,
                      [&](std::size_t begin, std::size_t end) {
                        for (std::size_t group = begin; group < end; ++group) write(group);
                      });
}

}  // namespace imgsim
