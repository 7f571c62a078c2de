// Nearest rows by way of codes: most rows are ruled out by 16 bytes.
#pragma once

#include <cstddef>
#include <cstdint>

#include "imgsim/knn.hpp"

namespace imgsim {

// Whether making codes of the whole database pays for so many queries.
bool codes_pay(const Wasserstein1d& metric, std::size_t queries, const MassMatrix& database,
               std::size_t k);

// What knn() gives, to the last bit. 17 bytes for each database row.
KnnResult coded_knn(const Wasserstein1d& metric, const MassMatrix& queries,
                    const MassMatrix& database, const std::uint8_t* skip, std::size_t k,
                    std::size_t threads, const Cancel& cancel, double* distances,
                    std::int64_t* indices);

}  // namespace imgsim
