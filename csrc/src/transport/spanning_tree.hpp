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
  // both up to, and without, their lowest common ancestor. Returns the number of nodes on it.
  std::size_t find_cycle(std::size_t i, std::size_t j) {
    entering_row_ = static_cast<Node>(m_ + i);
    entering_column_ = static_cast<Node>(j);
    const std::uint64_t bit = std::uint64_t{1} << j % 64;
    const std::uint64_t* word = below_ + j / 64;
    rows_up_ = columns_up_ = 0;
    Node x = entering_row_;
    for (; (word[index(x)] & bit) == 0; x = parent_[x]) up_row_[rows_up_++] = x;
    const Node top = x;
    for (x = entering_column_; x != top; x = parent_[x]) up_column_[columns_up_++] = x;
    return rows_up_ + columns_up_;
  }

  // Step 2: as much flow goes around as the arcs against it allow. On both paths these are the
  // first, third, fifth ... arc. The first arc that runs empty leaves; perturbed supplies see to
  // it that there is only one.
  void push_flow() {
    amount_ = std::numeric_limits<std::int64_t>::max();
    for (std::size_t k = 0; k < rows_up_; k += 2) limit(up_row_, k, true);
    for (std::size_t k = 0; k < columns_up_; k += 2) limit(up_column_, k, false);
    change(up_row_, rows_up_);
    change(up_column_, columns_up_);
  }

  // Step 3: the part cut off hangs itself onto the entering arc. Returns its set of columns.
  // sign: +1 where the column is in that part, -1 where the row is.
  const std::uint64_t* rehang(double* sign) {
    const bool with_row = leaves_on_row_path_;
    Node* stem = with_row ? up_row_ : up_column_;
    const std::size_t stem_length = with_row ? rows_up_ : columns_up_;
    const Node* other = with_row ? up_column_ : up_row_;
    const std::size_t other_length = with_row ? columns_up_ : rows_up_;
    *sign = with_row ? -1.0 : 1.0;
    std::copy_n(set(stem[leaving_]), words(), moved_);
    for (std::size_t k = leaving_ + 1; k < stem_length; ++k) {
      std::uint64_t* __restrict to = set(stem[k]);
      for (std::size_t w = 0; w < words(); ++w) to[w] &= ~moved_[w];
    }
    for (std::size_t k = 0; k < other_length; ++k) {
      std::uint64_t* __restrict to = set(other[k]);
      for (std::size_t w = 0; w < words(); ++w) to[w] |= moved_[w];
    }
    for (std::size_t k = leaving_; k > 0; --k) {
      const Node x = stem[k], child = stem[k - 1];
      std::uint64_t* __restrict to = set(x);
      const std::uint64_t* without = set(child);
      for (std::size_t w = 0; w < words(); ++w) to[w] = moved_[w] & ~without[w];
      parent_[x] = child;
      flow_[x] = flow_[child];
    }
    std::copy_n(moved_, words(), set(stem[0]));
    parent_[stem[0]] = with_row ? entering_column_ : entering_row_;
    flow_[stem[0]] = amount_;
    return moved_;
  }

 private:
  std::size_t index(Node x) const { return static_cast<std::size_t>(x) * words(); }
  std::uint64_t* set(Node x) { return below_ + index(x); }

  void limit(const Node* path, std::size_t k, bool on_row_path) {
    const std::int64_t flow = flow_[path[k]];
    if (flow >= amount_) return;
    amount_ = flow;
    leaving_ = k;
    leaves_on_row_path_ = on_row_path;
  }
  void change(const Node* path, std::size_t length) {
    std::size_t k = 0;
    for (; k + 1 < length; k += 2) {
      flow_[path[k]] -= amount_;
      flow_[path[k + 1]] += amount_;
    }
    if (k < length) flow_[path[k]] -= amount_;
  }

  std::size_t m_, nodes_, words_;
  Node* parent_;
  std::int64_t* flow_;    // on the arc to the parent
  std::uint64_t* below_;  // nodes_ sets of words() words
  // The cycle of the current pivot.
  Node *up_row_, *up_column_;
  std::size_t rows_up_ = 0, columns_up_ = 0, leaving_ = 0;
  Node entering_row_ = kNoNode, entering_column_ = kNoNode;
  std::int64_t amount_ = 0;
  bool leaves_on_row_path_ = false;
  std::uint64_t* __restrict moved_;
};

}  // namespace imgsim
