// The leaves of a tree of codes that may hold what is near.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>

#include "imgsim/code_tree.hpp"
#include "kernels/kernel_table.hpp"

namespace imgsim::coded {

static_assert(kHalfCode == kCode && kSideBytes == kBoxes * sizeof(std::uint16_t));

static_assert(kGroupRows == kBoxes * kLeafRows && kBlockRows == kBoxes * kGroupRows);

// use(number, bound) of those of 16 boxes that are within `limit` of the query, in parts of a unit;
// they are numbered from `first` on, and there are none from `all` on.
template <class Use>
void near_boxes(const std::uint8_t* boxes, std::size_t first, std::size_t all,
                const CoarseParts& query, std::uint32_t limit, const Use& use) {
  std::array<std::uint16_t, kBoxes> bounds;
  kernels().box_bounds(boxes, query.above.data(), query.below.data(), bounds.data());
  const std::size_t n = std::min(kBoxes, all - first);
  for (std::size_t i = 0; i < n; ++i)
    if (bounds[i] <= limit) use(first + i, bounds[i]);
}

// The near groups of a block of a tree of n rows.
template <class Use>
void near_groups(const CodeTree<const std::uint8_t>& tree, std::size_t n, std::size_t block,
                 const CoarseParts& query, std::uint32_t limit, const Use& use) {
  near_boxes(tree.groups_of(block), block * kBoxes, tree.group_count(n), query, limit, use);
}

// The near leaves of a group.
template <class Use>
void near_leaves(const CodeTree<const std::uint8_t>& tree, std::size_t n, std::size_t group,
                 const CoarseParts& query, std::uint32_t limit, const Use& use) {
  near_boxes(tree.leaves_of(group), group * kBoxes, tree.leaf_count(n), query, limit, use);
}

// All near groups of the blocks of the places [begin, end).
template <class Use>
void all_near_groups(const CodeTree<const std::uint8_t>& tree, std::size_t n, std::size_t begin,
                     std::size_t end, const CoarseParts& query, std::uint32_t limit,
                     const Use& use) {
  for (std::size_t block = begin / kBlockRows; block < tree.block_count(end); ++block)
    near_groups(tree, n, block, query, limit, use);
}

// And all near leaves.
template <class Use>
void all_near_leaves(const CodeTree<const std::uint8_t>& tree, std::size_t n, std::size_t begin,
                     std::size_t end, const CoarseParts& query, std::uint32_t limit,
                     const Use& use) {
  all_near_groups(tree, n, begin, end, query, limit, [&](std::size_t group, std::uint32_t) {
    near_leaves(tree, n, group, query, limit, use);
  });
}

}  // namespace imgsim::coded
