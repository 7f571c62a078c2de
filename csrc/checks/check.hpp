// What the check programs share. Each runs the core without Python, so that sanitizers see all of
// it. Argument: the instruction set. Exit code 0: all agree; 1: not; 77: this machine cannot run
// the instruction set.
#pragma once

#include <cstddef>
#include <cstdio>
#include <random>
#include <stdexcept>
#include <string>
#include <vector>

#include "imgsim/cpu.hpp"

namespace imgsim {

inline int failures = 0;
inline std::mt19937_64 random_bits{1};  // the same numbers in every run

using sizes = std::vector<std::size_t>;

inline void expect(bool holds, const std::string& what) {
  if (holds) return;
  std::fprintf(stderr, "FAILED: %s\n", what.c_str());
  ++failures;
}

inline std::size_t below(std::size_t n) {
  return static_cast<std::size_t>(random_bits() % n);
}

// Runs `checks` on the instruction set that the command line names; returns the exit code.
template <class Checks>
int run_checks(int argc, char** argv, Checks checks) {
  const std::string isa = argc > 1 ? argv[1] : "baseline";
  try {
    set_isa(isa);
  } catch (const std::invalid_argument& error) {
    std::printf("skipped: %s\n", error.what());
    return 77;
  }
  expect(active_isa() == isa, "active_isa");
  checks();
  std::printf("%s: %d failures\n", isa.c_str(), failures);
  return failures == 0 ? 0 : 1;
}

}  // namespace imgsim
