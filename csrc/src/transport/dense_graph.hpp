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
  // The first column where cost(i, j) - v[j] is least.
  std::size_t cheapest(std::size_t i, const double* v) const {
    return table->cheapest(costs + i * stride, v, padded);
  }

  // The same times `factor`, a power of two, in single precision: half as much to read. Null where
  // that is not worth it.
  const float* singles = nullptr;
  std::size_t single_stride = 0;
  double factor = 1.0;

  // About how many microseconds it takes to price a row.
  std::size_t row_weight() const { return 1 + m / 8192; }

  double cost(std::size_t i, std::size_t j) const { return costs[i * stride + j]; }

  // least[r] = min_j cost(i + r, j) - v[j] for `rows` rows.
  void minima(std::size_t i, std::size_t rows, const double* v, double* least) const {
    table->minima(costs + i * stride, stride, rows, v, padded, least);
  }

  // The first column with cost(i, j) - v[j] == value, for a row just asked for its minimum.
  std::size_t column_of(std::size_t i, const double* v, double value) const {
    return table->find_difference(costs + i * stride, v, padded, value);
  }

  bool is_rough() const { return singles != nullptr; }
  void rough_minima(std::size_t i, std::size_t rows, const float* v, float* least) const {
    table->minima_single(singles + i * single_stride, single_stride, rows, v, single_stride, least);
  }
  std::size_t rough_cheapest(std::size_t i, const float* v) const {
    return table->cheapest_single(singles + i * single_stride, v, single_stride);
  }
  std::size_t rough_column_of(std::size_t i, const float* v, float value) const {
    return table->find_single(singles + i * single_stride, v, single_stride, value);
  }
};

}  // namespace imgsim
