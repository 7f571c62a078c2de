// Which instruction set the kernels use. Every choice gives the same bits; only the speed differs.
#pragma once

#include <string>
#include <vector>

namespace imgsim {

// Names of the kernel tables this machine can run, slowest first: "baseline", then "avx2",
// "avx512".
std::vector<std::string> available_isas();

// The table in use. At first use: environment IMGSIM_FAST_ISA if set, else the fastest available.
// Throws std::invalid_argument when IMGSIM_FAST_ISA names a table this machine cannot run.
const char* active_isa();

// Chooses a table by name, for tests and benchmarks; not while other threads compute.
// Throws std::invalid_argument for a name that available_isas() does not list.
void set_isa(const std::string& name);

}  // namespace imgsim
