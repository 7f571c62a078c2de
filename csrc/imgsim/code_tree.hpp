// Codes (cdf_codes.hpp) in an order in which most of them need not be read: a k-d tree.
//
// Rows are divided at the middle of the byte of the coarse half by which they differ most, and so
// on, until a leaf of 256 is left; 16 leaves, a subtree, are a group, 16 groups a block. Where a
// leaf or a group lies is kept as a box, the least and the largest of each of the eight areas C_p
// that its coarse halves are rounded from; for whatever is in it
//   W1 >= 2 unit sum_p |C_p - Q_p| >= 2 unit sum_p max(0, least_p - Q_p, Q_p - largest_p).
// Boxes and queries are in 32nds of a unit, rounded outwards, so that nothing more is lost. The
// tree is not kept beyond that: all leaves but the last are full.
// Friedman, Bentley, Finkel, An Algorithm for Finding Best Matches in Logarithmic Expected Time,
// ACM TOMS 3 (1977).
#pragma once

#include <cstddef>
#include <cstdint>

#include "imgsim/cdf_codes.hpp"
#include "imgsim/parallel.hpp"

namespace imgsim {

constexpr std::size_t kLeafRows = 256, kGroupRows = 16 * kLeafRows, kBlockRows = 16 * kGroupRows;
// Boxes of 16 leaves, or groups: for each area the least of all, then the largest, 16 bits each,
// the lower byte first.
constexpr std::size_t kSideBytes = 16 * 2, kBoxesBytes = kHalfCode * 2 * kSideBytes;

// Where the parts of a tree of n rows are: the codes of all places, of each place the number of its
// row (4 bytes, the lowest first), then the boxes of the leaves of each group and of the groups of
// each block; what there is no leaf or group for is 0.
template <class Byte>
struct CodeTree {
  CodeArrays<Byte> codes;
  Byte *order, *leaves, *groups;

  static std::size_t leaf_count(std::size_t n) { return (n + kLeafRows - 1) / kLeafRows; }
  static std::size_t group_count(std::size_t n) { return (n + kGroupRows - 1) / kGroupRows; }
  static std::size_t block_count(std::size_t n) { return (n + kBlockRows - 1) / kBlockRows; }
  static std::size_t bytes(std::size_t n) {
    return n * (kCodeBytes + kNumber) + (group_count(n) + block_count(n)) * kBoxesBytes;
  }
  static CodeTree in(Byte* bytes, std::size_t n) {
    CodeTree tree{CodeArrays<Byte>::in(bytes, n), bytes + n * kCodeBytes, nullptr, nullptr};
    tree.leaves = tree.order + n * kNumber;
    tree.groups = tree.leaves + group_count(n) * kBoxesBytes;
    return tree;
  }
  Byte* leaves_of(std::size_t group) const { return leaves + group * kBoxesBytes; }
  Byte* groups_of(std::size_t block) const { return groups + block * kBoxesBytes; }

  std::uint32_t row(std::size_t place) const {
    const Byte* bytes = order + place * kNumber;
    return bytes[0] | std::uint32_t{bytes[1]} << 8 | std::uint32_t{bytes[2]} << 16 |
           std::uint32_t{bytes[3]} << 24;
  }
  void set_row(std::size_t place, std::uint32_t row) const {
    for (std::size_t i = 0; i < kNumber; ++i)
      order[place * kNumber + i] = static_cast<std::uint8_t>(row >> 8 * i);
  }

  static constexpr std::size_t kNumber = 4;
};

// Puts n < 2^32 rows in order, into CodeTree::bytes(n) bytes; false: cancelled. raw: n * kRawBytes
// bytes of encode_rows(). Every number of threads gives the same. O(n log n) time, 12 bytes of
// memory a row beside the result.
bool arrange_codes(const std::uint8_t* raw, std::size_t n, std::size_t threads,
                   const Cancel& cancel, std::uint8_t* tree);

}  // namespace imgsim
