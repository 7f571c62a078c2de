// Exact k nearest rows by one-dimensional Wasserstein distance, by looking at every row.
// Identical for any number of threads and any instruction set; ties go to the lower index.
#pragma once

#include <cstddef>
#include <cstdint>

#include "imgsim/parallel.hpp"
#include "imgsim/wasserstein_1d.hpp"

namespace imgsim {

struct KnnResult {
  bool cancelled = false;
  std::size_t bad_query = kNoBadRow;  // the first row that is no distribution, see CdfMatrix
  std::size_t bad_row = kNoBadRow;    // the same in the database
};

// distances, indices: queries.rows x k, nearest first; k <= number of rows not skipped.
// skip: one byte per database row, nonzero to leave it out; null for none.
// O(queries * rows * bins) time, memory beyond the inputs: 1 MB per thread and k per query.
KnnResult knn(const Wasserstein1d& metric, const MassMatrix& queries, const MassMatrix& database,
              const std::uint8_t* skip, std::size_t k, std::size_t threads, const Cancel& cancel,
              double* distances, std::int64_t* indices);

}  // namespace imgsim
