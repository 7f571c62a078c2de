// Orden's perturbation (1956): masses that no proper part of the rows and columns balances.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>

namespace imgsim {

// One unit more for each row, all of them for the largest column. As long as masses differ by more
// than n units, no proper part of the rows then balances a part of the columns. Columns of less
// than a unit get one, and the rows more.
inline void perturb(std::int64_t* supply, std::size_t n, std::int64_t* demand, std::size_t m) {
  std::int64_t empty = 0;
  for (std::size_t j = 0; j < m; ++j)
    if (demand[j] == 0) {
      demand[j] = 1;
      ++empty;
    }
  for (std::size_t i = 0; i < n; ++i) supply[i] += 1 + empty;
  *std::max_element(demand, demand + m) += static_cast<std::int64_t>(n) * (1 + empty) - empty;
}

}  // namespace imgsim
