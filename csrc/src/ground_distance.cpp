#include "imgsim/ground_distance.hpp"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <vector>

#include "kernels/kernel_table.hpp"
#include "transport/costs.hpp"
#include "transport/interrupt.hpp"
#include "transport/workspace.hpp"

namespace imgsim {

bool fill_distances(const GroundDistance& ground, std::size_t n, std::size_t m,
                    const Cancel& cancel, double* out) {
  Interrupt interrupt(cancel);
  Workspace space;
  const auto everything = [&](std::size_t size) {
    auto* ids = space.take<std::int32_t>(size);
    for (std::size_t k = 0; k < size; ++k) ids[k] = static_cast<std::int32_t>(k);
    return Side{ids, size};
  };
  const Side rows = everything(n), columns = everything(m);
  const Costs costs(ground, rows, columns, false, space);
  const std::size_t padded = (m + kColumns - 1) / kColumns * kColumns;
  auto* row = space.take<double>(padded);
  for (std::size_t i = 0; i < n; ++i) {
    if (interrupt.due(costs.row_weight())) return false;
    costs.row(i, padded, row);
    double* to = out + i * m;
    std::copy_n(row, m, to);
    if (costs.exponent() != 0)
      for (std::size_t j = 0; j < m; ++j) to[j] = std::ldexp(row[j], costs.exponent());
  }
  return true;
}

Metricity is_metric(const MatrixView<double>& matrix, const Cancel& cancel) {
  constexpr double kRounding = 0x1p-50;  // relative: 4 units in the last place
  const std::size_t n = matrix.rows;
  if (n != matrix.cols) return Metricity::no;
  const std::size_t padded = (n + kColumns - 1) / kColumns * kColumns;
  for (std::size_t i = 0; i < n; ++i) {
    if (matrix.row(i)[i] != 0) return Metricity::no;
    for (std::size_t j = 0; j < n; ++j)
      if (!(matrix.row(i)[j] >= 0) || std::isinf(matrix.row(i)[j])) return Metricity::no;
  }
  // min_k c_jk - (-c_ki) is the shortest way from j over k to i; the columns of c are copied so
  // that it is one row operation.
  const KernelTable& table = kernels();
  std::vector<double> rows(n * padded, HUGE_VAL), to(padded, 0.0), shortest(n);
  for (std::size_t j = 0; j < n; ++j) std::copy_n(matrix.row(j), n, rows.data() + j * padded);
  Interrupt interrupt(cancel);
  for (std::size_t i = 0; i < n; ++i) {
    if (interrupt.due(1 + n * n / 4096)) return Metricity::cancelled;
    for (std::size_t k = 0; k < n; ++k) to[k] = -matrix.row(k)[i];
    table.minima(rows.data(), padded, n, to.data(), padded, shortest.data());
    for (std::size_t j = 0; j < n; ++j)
      if (matrix.row(j)[i] > shortest[j] * (1 + kRounding)) return Metricity::no;
  }
  return Metricity::yes;
}

}  // namespace imgsim
