// The assignment of least cost by costs that are rounded to whole numbers of some 20 bits: nearly
// always the best by the costs themselves, or all but a few rows of it, in a third of the time.
#pragma once

#include <cstdint>

#include "transport/dense_graph.hpp"
#include "transport/interrupt.hpp"
#include "transport/workspace.hpp"

namespace imgsim {

struct RoundedAssignment {
  std::int32_t* column_of;  // of each row; -1: none
  std::int32_t* row_of;     // of each column
  double* v;                // potentials of the columns, by the rounded costs
};

// `out` has room for n, n and padded values; `largest` is that of all costs, by magnitude; `keys`
// has room for n rows of n values, padded to kSingles. False when interrupted. Where potentials
// grow so large that the whole numbers would overflow, the other rows stay without a column.
bool assign_rounded(const DenseGraph& graph, double largest, std::int32_t* keys, Workspace& space,
                    Interrupt& interrupt, const RoundedAssignment& out);

}  // namespace imgsim
