// A graph between points whose costs do not fit into memory: each row is computed when it is
// priced.
#pragma once

#include <algorithm>
#include <cstddef>
#include <limits>

#include "kernels/kernel_table.hpp"
#include "transport/costs.hpp"

namespace imgsim {

struct PointGraph {
  static constexpr std::size_t kRows = 4;

  std::size_t n, m, padded;
  const Costs* costs;
  const KernelTable* table;
  double* rows;  // the last rows that were priced: kRows x padded
  mutable std::size_t first = 0;

  std::size_t row_weight() const { return costs->row_weight(); }

  double cost(std::size_t i, std::size_t j) const { return costs->at(i, j); }

  void minima(std::size_t i, std::size_t count, const double* v, double* least) const {
    first = i;
    for (std::size_t r = 0; r < count; ++r) costs->row(i + r, padded, rows + r * padded);
    table->minima(rows, padded, count, v, padded, least);
  }

  std::size_t cheapest(std::size_t i, const double* v) const {
    double least;
    minima(i, 1, v, &least);
    return column_of(i, v, least);
  }

  static constexpr double factor = 1.0;
  static constexpr bool is_rough() { return false; }
  void rough_minima(std::size_t, std::size_t, const float*, float*) const {}
  std::size_t rough_cheapest(std::size_t, const float*) const { return 0; }
  std::size_t rough_column_of(std::size_t, const float*, float) const { return 0; }

  std::size_t column_of(std::size_t i, const double* v, double value) const {
    return table->find_difference(rows + (i - first) * padded, v, padded, value);
  }
};

}  // namespace imgsim
