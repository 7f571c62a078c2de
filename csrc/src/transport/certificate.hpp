// Weak duality: potentials that are feasible for the whole problem, and the lower bound they prove.
#pragma once

#include "imgsim/transport.hpp"
#include "transport/exact_sum.hpp"
#include "transport/masses.hpp"
#include "transport/workspace.hpp"

namespace imgsim {

// What the potentials that come in are.
struct PotentialFacts {
  int exponent;  // distances given times 2^-exponent
  bool whole;    // whole numbers, so that nothing is rounded
  bool twofold;  // the low parts matter
};

struct Certificate {
  TransportStatus status = TransportStatus::optimal;  // or cancelled, or bad_cost
  double bound = 0.0;           // of the cost, in units of mass times scaled distances
  int exponent = 0;             // a distance given is a scaled one times 2^exponent
  bool negative_costs = false;  // there are some
  bool whole = false;           // nothing was rounded
};

// from: a potential for each source that has one, NaN for the others. Where totals differ, `cap` is
// the highest potential on the side that has more: what is left over there stays for nothing, as if
// a dummy took it. u and v become c-transforms of each other, rounded down: u_i + v_j <= c_ij holds
// without any tolerance. O(n m).
Certificate certify(const TransportProblem& problem, const WholeMasses& masses,
                    const PotentialFacts& facts, Twofold cap, Twofold* from, double* u, double* v,
                    Workspace& space, const Cancel& cancel);

}  // namespace imgsim
