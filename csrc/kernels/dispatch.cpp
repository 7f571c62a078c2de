// Chooses the kernel table: what the CPU can run, unless IMGSIM_FAST_ISA names another.
#include <atomic>
#include <cstdlib>
#include <stdexcept>
#include <string>
#include <vector>

#include "imgsim/cpu.hpp"
#include "kernels/kernel_table.hpp"

#if defined(IMGSIM_X86_KERNELS) && defined(_MSC_VER)
#include <immintrin.h>
#include <intrin.h>
#endif

namespace imgsim {

extern const KernelTable kernels_baseline;
#ifdef IMGSIM_X86_KERNELS
extern const KernelTable kernels_avx2;
extern const KernelTable kernels_avx512;
#endif

namespace {

#ifdef IMGSIM_X86_KERNELS
#ifdef _MSC_VER
bool os_saves(unsigned long long registers) {
  int leaf[4];
  __cpuid(leaf, 1);
  return (leaf[2] & (1 << 27)) != 0 && (_xgetbv(0) & registers) == registers;
}
bool has_leaf7(int mask) {
  int leaf[4];
  __cpuid(leaf, 0);
  if (leaf[0] < 7) return false;
  __cpuidex(leaf, 7, 0);
  return (leaf[1] & mask) == mask;
}
bool has_avx2() {
  return os_saves(0x6) && has_leaf7(1 << 5);
}
bool has_avx512() {
  // Foundation, doubleword and quadword, byte and word, vector length.
  return os_saves(0xE6) &&
         has_leaf7((1 << 16) | (1 << 17) | (1 << 30) | static_cast<int>(1U << 31));
}
#else
bool has_avx2() {
  return __builtin_cpu_supports("avx2");
}
bool has_avx512() {
  return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
         __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
}
#endif
#endif

// Slowest first.
std::vector<const KernelTable*> available() {
  std::vector<const KernelTable*> tables = {&kernels_baseline};
#ifdef IMGSIM_X86_KERNELS
  if (has_avx2()) tables.push_back(&kernels_avx2);
  if (has_avx2() && has_avx512()) tables.push_back(&kernels_avx512);
#endif
  return tables;
}

const KernelTable* find(const std::string& name, const char* who) {
  std::string names;
  for (const KernelTable* table : available()) {
    if (name == table->name) return table;
    names += names.empty() ? table->name : std::string(", ") + table->name;
  }
  throw std::invalid_argument(std::string(who) + " is '" + name +
                              "'; this machine can run: " + names);
}

const KernelTable* choose() {
  const char* name = std::getenv("IMGSIM_FAST_ISA");
  if (name != nullptr && *name != '\0') return find(name, "IMGSIM_FAST_ISA");
  return available().back();
}

std::atomic<const KernelTable*> active{nullptr};

}  // namespace

const KernelTable& kernels() {
  const KernelTable* table = active.load(std::memory_order_acquire);
  if (table == nullptr) {
    table = choose();  // threads that race here choose the same
    active.store(table, std::memory_order_release);
  }
  return *table;
}

std::vector<std::string> available_isas() {
  std::vector<std::string> names;
  for (const KernelTable* table : available()) names.emplace_back(table->name);
  return names;
}

const char* active_isa() {
  return kernels().name;
}

void set_isa(const std::string& name) {
  active.store(find(name, "isa"), std::memory_order_release);
}

}  // namespace imgsim
