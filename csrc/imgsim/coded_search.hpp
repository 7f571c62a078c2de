// Exact search of rows that have codes (cdf_codes.hpp): the codes rule most rows out, the others
// are looked at. What comes out is what looking at every row would give, to the last bit.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "imgsim/cdf_codes.hpp"
#include "imgsim/knn.hpp"
#include "imgsim/top_k.hpp"

namespace imgsim {

// Writes the codes of all rows, kCodeBytes each, as CodeArrays::in divides them, and the remainders
// of CdfCoder::encode(), eight bytes each, unless they are null: one after the other they are what
// arrange_codes() takes. bad_row: the first
// that is no distribution; then codes mean nothing. O(rows bins) time, no memory beyond the codes
// but some 100 KB a thread.
KnnResult encode_rows(const Wasserstein1d& metric, const MassMatrix& rows, std::size_t threads,
                      const Cancel& cancel, std::uint8_t* codes,
                      std::uint8_t* remainders = nullptr);

// Some of the rows of a database, fewer than 2^32.
struct CodedRows {
  MassMatrix masses;
  const std::uint8_t* codes = nullptr;  // of encode_rows()
  const std::uint8_t* skip = nullptr;   // nonzero: to be left out; null: none
  bool arranged = false;                // codes are those of arrange_codes() (code_tree.hpp)
  const std::int64_t* ids = nullptr;    // what rows are called; null: by their number in all parts
};

struct CodedResult : KnnResult {
  std::uint64_t looked_at = 0;       // exact distances that were computed
  std::uint64_t scanned = 0;         // coarse halves that were read
  std::size_t bad_part = kNoBadRow;  // the first whose tree names rows that are not there

  void add(const CodedResult& other);
};

// The k nearest rows of each query within `radius` (infinity: all), nearest first, ties to the
// lower id (or all by number, or none). Fewer than k: the rest is infinity and -1.
// Where codes are arranged, only boxes and the leaves that may hold what is near are read, nearest
// first. Threads share rows, and queries. Memory: 16 bytes for each row that codes cannot rule out,
// some of them at a time, and for each leaf that boxes cannot, and for each block of 16384 rows or
// more. bad_row: one that was to be looked at and is
// no distribution (of the others nobody knows).
CodedResult nearest_coded(const Wasserstein1d& metric, const MassMatrix& queries,
                          const std::vector<CodedRows>& parts, std::size_t k, double radius,
                          std::size_t threads, const Cancel& cancel, double* distances,
                          std::int64_t* indices);

// All rows within `radius` of the only query, nearest first.
CodedResult within_coded(const Wasserstein1d& metric, const MassMatrix& query,
                         const std::vector<CodedRows>& parts, double radius, std::size_t threads,
                         const Cancel& cancel, std::vector<Neighbor>* found);

// Whether making codes of the whole database pays for these queries: a guess from a sample.
bool codes_pay(const Wasserstein1d& metric, const MassMatrix& queries, const MassMatrix& database,
               std::size_t k);

// What looking at every row gives, by way of codes that are made for it, and arranged for very many
// queries: 18 to 60 bytes a row meanwhile.
KnnResult knn_by_codes(const Wasserstein1d& metric, const MassMatrix& queries,
                       const MassMatrix& database, const std::uint8_t* skip, std::size_t k,
                       std::size_t threads, const Cancel& cancel, double* distances,
                       std::int64_t* indices);

}  // namespace imgsim
