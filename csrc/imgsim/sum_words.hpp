// What reading memory costs: the measure that benchmarks of scans are held against.
#pragma once

#include <cstddef>
#include <cstdint>

#include "imgsim/parallel.hpp"

namespace imgsim {

// Sum modulo 2^64 of n words; *sum is not set when it returns false, cancelled.
bool sum_words(const std::uint64_t* words, std::size_t n, std::size_t threads, const Cancel& cancel,
               std::uint64_t* sum);

}  // namespace imgsim
