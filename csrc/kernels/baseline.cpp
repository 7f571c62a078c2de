#include "kernels/kernel_table.hpp"

namespace {
constexpr std::size_t kVectorBytes = 16;
constexpr std::size_t kFewThresholds = 16;
constexpr bool kMaskedAdd = false;     // a comparison gives a mask register, not a vector
constexpr bool kWideMultiply = false;  // 32-bit products in one instruction
}  // namespace

#define IMGSIM_ISA baseline
#include "kernels/export-inl.hpp"
