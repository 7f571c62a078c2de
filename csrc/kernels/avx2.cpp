#include "kernels/kernel_table.hpp"

namespace {
constexpr std::size_t kVectorBytes = 32;
constexpr std::size_t kFewThresholds = 32;
constexpr bool kMaskedAdd = false;    // a comparison gives a mask register, not a vector
constexpr bool kWideMultiply = true;  // 32-bit products in one instruction
}  // namespace

#define IMGSIM_ISA avx2
#include "kernels/export-inl.hpp"
