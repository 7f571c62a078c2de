// Equal masses, as many rows as columns: the plan is a permutation, found by shortest augmenting
// paths (Jonker and Volgenant 1987), first over rounded costs, then over the costs themselves.
#pragma once

#include <cstdint>

#include "transport/dense_graph.hpp"
#include "transport/interrupt.hpp"
#include "transport/workspace.hpp"

namespace imgsim {

struct Assignment {
  const std::int32_t* column_of;  // of each row
  const double* v;                // potentials of the columns
  bool complete;                  // false: a search found no way (the costs have changed meanwhile)
};

// `largest` is that of all costs, by magnitude; reduced costs count as 0 down to -tolerance times
// the largest potential or cost of the permutation; `keys` has room for n rows of n values, padded
// to kSingles. False when interrupted. O(n^3), mostly far less.
bool assign(const DenseGraph& graph, double largest, double tolerance, std::int32_t* keys,
            Workspace& space, Interrupt& interrupt, Assignment* out);

}  // namespace imgsim
