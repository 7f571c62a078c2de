// The basis of the simplex: a spanning tree of columns 0 ... m-1 and rows m ... m+n-1, rooted at a
// column.
//
// Every node knows its parent, the flow on the arc to it, and the set of columns in its subtree as
// bits. So the lowest common ancestor is found by testing one bit per step, a pivot changes the
// sets of the nodes on its cycle only, with a few word operations each, and the set of the subtree
// that moves says which potentials change. Nothing depends on the size of the subtree but these
// m / 8 vector operations. Words: words per set, 0 where not known at compile time.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <limits>

#include "transport/workspace.hpp"

namespace imgsim {

using Node = std::int32_t;
constexpr Node kNoNode = -1;

template <std::size_t Words>
class SpanningTree {
 public:
  SpanningTree(std::size_t n, std::size_t m, Workspace& space)
      : m_(m), nodes_(n + m), words_((m + 63) / 64) {
    parent_ = space.take_filled<Node>(nodes_, kNoNode);
    flow_ = space.take_filled<std::int64_t>(nodes_, 0);
    below_ = space.take_filled<std::uint64_t>(nodes_ * words(), 0);
    up_row_ = space.take<Node>(nodes_);
    up_column_ = space.take<Node>(nodes_);
    moved_ = space.take<std::uint64_t>(words());
    for (std::size_t j = 0; j < m_; ++j) below_[j * words() + j / 64] = std::uint64_t{1} << j % 64;
  }

  std::size_t words() const { return Words != 0 ? Words : words_; }
  std::size_t nodes() const { return nodes_; }
  Node parent(std::size_t x) const { return parent_[x]; }
  std::int64_t flow(std::size_t x) const { return flow_[x]; }
  // Room for one number per node, free between pivots.
  Node* scratch() { return up_row_; }

  // Hangs x, whose subtree is complete, below a parent.
  void attach(Node x, Node parent, std::int64_t flow) {
    parent_[x] = parent;
    flow_[x] = flow;
    const std::uint64_t* from = set(x);
    std::uint64_t* to = set(parent);
    for (std::size_t w = 0; w < words(); ++w) to[w] |= from[w];
  }

  // Step 1 of a pivot: the cycle that the arc from row i to column j closes, as the paths from
  // both up to, and without, their lowest common ancestor. As much flow can go around as the arcs
  // against it allow: on both paths the first, third, fifth ... The first that runs empty leaves;
  // perturbed supplies see to it that there is only one. Returns the number of nodes on the cycle.
  std::size_t find_cycle(std::size_t i, std::size_t j) {
    row_ = static_cast<Node>(m_ + i);
    column_ = static_cast<Node>(j);
    amount_ = std::numeric_limits<std::int64_t>::max();
    const std::uint64_t bit = std::uint64_t{1} << j % 64;
    const std::uint64_t* word = below_ + j / 64;
    std::size_t length = 0;
    Node x = row_;
    while ((word[index(x)] & bit) == 0) {
      up_row_[length] = x;
      limit(x, length++, true);
      x = parent_[x];
      if ((word[index(x)] & bit) != 0) break;
      up_row_[length++] = x;
      x = parent_[x];
    }
    const Node top = x;
    row_length_ = length;
    length = 0;
    for (x = column_; x != top;) {
      up_column_[length] = x;
      limit(x, length++, false);
      x = parent_[x];
      if (x == top) break;
      up_column_[length++] = x;
      x = parent_[x];
    }
    column_length_ = length;
    return row_length_ + column_length_;
  }

  // Instead of the first arc that runs empty another arc of the cycle leaves, that of node x; flows
  // mean nothing from then on.
  void choose_leaving(Node x) {
    amount_ = 0;
    for (std::size_t k = 0; k < row_length_; ++k)
      if (up_row_[k] == x) leaving_ = k, leaves_with_row_ = true;
    for (std::size_t k = 0; k < column_length_; ++k)
      if (up_column_[k] == x) leaving_ = k, leaves_with_row_ = false;
  }

  // Step 2: the flow goes around, and the part cut off hangs itself onto the entering arc. Returns
  // that part's set of columns; sign: +1 where the column is in it, -1 where the row is.
  const std::uint64_t* push_and_rehang(double* sign) {
    *sign = leaves_with_row_ ? -1.0 : 1.0;
    Node* stem = leaves_with_row_ ? up_row_ : up_column_;
    const std::size_t stem_length = leaves_with_row_ ? row_length_ : column_length_;
    const Node* other = leaves_with_row_ ? up_column_ : up_row_;
    const std::size_t other_length = leaves_with_row_ ? column_length_ : row_length_;
    std::copy_n(set(stem[leaving_]), words(), moved_);
    // Flow falls on the first arc of each path, rises on the second, and so on.
    for (std::size_t k = leaving_ + 1; k < stem_length; ++k) {
      flow_[stem[k]] += k % 2 == 0 ? -amount_ : amount_;
      std::uint64_t* __restrict to = set(stem[k]);
      for (std::size_t w = 0; w < words(); ++w) to[w] &= ~moved_[w];
    }
    for (std::size_t k = 0; k < other_length; ++k) {
      flow_[other[k]] += k % 2 == 0 ? -amount_ : amount_;
      std::uint64_t* __restrict to = set(other[k]);
      for (std::size_t w = 0; w < words(); ++w) to[w] |= moved_[w];
    }
    // The stem turns around: each node takes over the arc to the one before it.
    for (std::size_t k = leaving_; k > 0; --k) {
      const Node x = stem[k], child = stem[k - 1];
      parent_[x] = child;
      flow_[x] = flow_[child] + (k % 2 == 0 ? amount_ : -amount_);
      std::uint64_t* __restrict to = set(x);
      const std::uint64_t* without = set(child);
      for (std::size_t w = 0; w < words(); ++w) to[w] = moved_[w] & ~without[w];
    }
    std::copy_n(moved_, words(), set(stem[0]));
    parent_[stem[0]] = leaves_with_row_ ? column_ : row_;
    flow_[stem[0]] = amount_;
    return moved_;
  }

 private:
  std::size_t index(Node x) const { return static_cast<std::size_t>(x) * words(); }
  std::uint64_t* set(Node x) { return below_ + index(x); }

  void limit(Node x, std::size_t at, bool on_row_path) {
    const std::int64_t flow = flow_[x];
    if (flow >= amount_) return;
    amount_ = flow;
    leaving_ = at;
    leaves_with_row_ = on_row_path;
  }

  std::size_t m_, nodes_, words_;
  Node* parent_;
  std::int64_t* flow_;    // on the arc to the parent
  std::uint64_t* below_;  // nodes_ sets of words() words
  // The cycle of the current pivot.
  Node *up_row_, *up_column_;
  std::size_t row_length_ = 0, column_length_ = 0;
  Node row_ = kNoNode, column_ = kNoNode;
  std::int64_t amount_ = 0;
  std::size_t leaving_ = 0;
  bool leaves_with_row_ = false;
  std::uint64_t* __restrict moved_;
};

}  // namespace imgsim
