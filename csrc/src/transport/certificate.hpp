// Weak duality: potentials that are feasible for the whole problem, and the lower bound they prove.
#pragma once

#include <cstddef>
#include <cstdint>

#include "imgsim/transport.hpp"
#include "transport/workspace.hpp"

namespace imgsim {

// Every source's and target's mass in whole units, before anything was cancelled.
struct CertifiedMasses {
  const std::int64_t *supply, *demand;
  std::int64_t supply_total, demand_total;
};

struct Certificate {
  double bound = 0.0;    // of the cost in whole units times scaled distances
  int exponent = 0;      // a distance given is a scaled one times 2^exponent
  bool complete = true;  // false: interrupted
};

// u comes in with a potential for each source that has one, NaN for the others, in distances scaled
// by 2^-exponent. Where totals differ, `cap` is the highest potential on the side that has more:
// what is left over there stays for nothing, as if a dummy took it. Both sides leave as
// c-transforms of each other, rounded down: u_i + v_j <= c_ij holds without any tolerance. O(n m).
Certificate certify(const TransportProblem& problem, const CertifiedMasses& masses, int exponent,
                    bool whole, double cap, double* u, double* v, Workspace& space,
                    const Cancel& cancel);

}  // namespace imgsim
