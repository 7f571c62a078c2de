// A graph: rows, columns, the cost of every arc, and the two questions of pricing. This one has its
// costs in memory; point_graph.hpp computes them again each time. Sparse or grid graphs need the
// same members.
#pragma once

#include <cstddef>

#include "kernels/kernel_table.hpp"

namespace imgsim {

struct DenseGraph {
  std::size_t n, m, padded;  // padded: columns, up to a multiple of kColumns, that cost infinity
  std::size_t stride;
  const double* costs;
  const KernelTable* table;

  double cost(std::size_t i, std::size_t j) const { return costs[i * stride + j]; }

  // least[r] = min_j cost(i + r, j) - v[j] for `rows` rows.
  void minima(std::size_t i, std::size_t rows, const double* v, double* least) const {
    table->minima(costs + i * stride, stride, rows, v, padded, least);
  }

  // The first column with cost(i, j) - v[j] == value, for a row just asked for its minimum.
  std::size_t column_of(std::size_t i, const double* v, double value) const {
    return table->find_difference(costs + i * stride, v, padded, value);
  }
};

}  // namespace imgsim
