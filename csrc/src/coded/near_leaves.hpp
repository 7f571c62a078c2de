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

constexpr std::size_t kGroupLeaves = kGroupRows / kLeafRows, kBlockGroups = kBlockRows / kGroupRows;

// use(i, bound) of those of the first n of 16 boxes that are within `limit` of the query, in parts
// of a unit.
template <class Use>
void near_boxes(const std::uint8_t* boxes, std::size_t n, const CoarseParts& query,
                std::uint32_t limit, const Use& use) {
  std::array<std::uint16_t, kBoxes> bounds;
  kernels().box_bounds(boxes, query.above.data(), query.below.data(), bounds.data());
  for (std::size_t i = 0; i < n; ++i)
    if (bounds[i] <= limit) use(i, bounds[i]);
}

// use(group, bound) of the near groups of a block of a tree of n rows.
template <class Use>
void near_groups(const CodeTree<const std::uint8_t>& tree, std::size_t n, std::size_t block,
                 const CoarseParts& query, std::uint32_t limit, const Use& use) {
  const std::size_t first = block * kBlockGroups;
  near_boxes(tree.groups_of(block), std::min(kBlockGroups, tree.group_count(n) - first), query,
             limit, [&](std::size_t i, std::uint32_t bound) { use(first + i, bound); });
}

// use(leaf, bound) of the near leaves of a group.
template <class Use>
void near_leaves(const CodeTree<const std::uint8_t>& tree, std::size_t n, std::size_t group,
                 const CoarseParts& query, std::uint32_t limit, const Use& use) {
  const std::size_t first = group * kGroupLeaves;
  near_boxes(tree.leaves_of(group), std::min(kGroupLeaves, tree.leaf_count(n) - first), query,
             limit, [&](std::size_t i, std::uint32_t bound) { use(first + i, bound); });
}

// The same for all blocks of the places [begin, end).
template <class Use>
void all_near_leaves(const CodeTree<const std::uint8_t>& tree, std::size_t n, std::size_t begin,
                     std::size_t end, const CoarseParts& query, std::uint32_t limit,
                     const Use& use) {
  for (std::size_t block = begin / kBlockRows; block < tree.block_count(end); ++block)
    near_groups(tree, n, block, query, limit, [&](std::size_t group, std::uint32_t) {
      near_leaves(tree, n, group, query, limit, use);
    });
}

}  // namespace imgsim::coded
