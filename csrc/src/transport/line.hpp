// Points on a line: the cost is the area between the two running sums of mass, no simplex needed.
#pragma once

#include "imgsim/transport.hpp"
#include "transport/masses.hpp"
#include "transport/workspace.hpp"

namespace imgsim {

// Balanced masses, one-dimensional points, a distance that is the absolute difference.
bool is_on_line(const TransportProblem& problem, const WholeMasses& masses);

// In units of mass times distances scaled by 2^-*exponent. O(n log n), O(n) for sorted points.
double cost_on_line(const TransportProblem& problem, const WholeMasses& masses, Workspace& space,
                    int* exponent);

}  // namespace imgsim
