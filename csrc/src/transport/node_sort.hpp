// Sorting that notices an interrupt: millions of nodes take seconds.
#pragma once

#include <algorithm>
#include <cstddef>

#include "transport/interrupt.hpp"
#include "transport/spanning_tree.hpp"

namespace imgsim {

// As std::sort, for an order without ties; false when interrupted. room: for as many nodes.
template <class Less>
bool sort_nodes(Node* nodes, std::size_t n, Node* room, Less less, Interrupt& interrupt) {
  constexpr std::size_t kPiece = 1 << 15;
  for (std::size_t first = 0; first < n; first += kPiece) {
    std::sort(nodes + first, nodes + std::min(first + kPiece, n), less);
    if (interrupt.due(64)) return false;
  }
  for (std::size_t size = kPiece; size < n; size *= 2)
    for (std::size_t first = 0; first + size < n; first += 2 * size) {
      Node *left = nodes + first, *right = left + size;
      Node* const end = nodes + std::min(first + 2 * size, n);
      std::copy(left, right, room);
      Node *from = room, *const last = room + size, *to = left;
      while (from < last && right < end) {
        Node* const stop = to + std::min<std::ptrdiff_t>(kPiece, end - to);
        while (to < stop && from < last && right < end)
          *to++ = less(*right, *from) ? *right++ : *from++;
        if (interrupt.due(64)) return false;
      }
      std::copy(from, last, to);
    }
  return true;
}

}  // namespace imgsim
