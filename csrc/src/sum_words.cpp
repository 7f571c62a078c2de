#include "imgsim/sum_words.hpp"

#include <atomic>

namespace imgsim {

bool sum_words(const std::uint64_t* words, std::size_t n, std::size_t threads, const Cancel& cancel,
               std::uint64_t* sum) {
  constexpr std::size_t kGrain = std::size_t{1} << 20;
  std::atomic<std::uint64_t> all{0};
  const std::size_t useful = useful_threads(threads, 0.4 * static_cast<double>(n));
  if (!parallel_for(n, kGrain, useful, cancel, [&](std::size_t begin, std::size_t end) {
        std::uint64_t parts[8] = {};
        std::size_t i = begin;
        for (; i + 8 <= end; i += 8)
          for (std::size_t k = 0; k < 8; ++k) parts[k] += words[i + k];
        for (; i < end; ++i) parts[0] += words[i];
        std::uint64_t part = 0;
        for (const std::uint64_t one : parts) part += one;
        all += part;
      }))
    return false;
  *sum = all;
  return true;
}

}  // namespace imgsim
