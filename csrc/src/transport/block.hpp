// A reduced transport problem with two sides, rows and columns, and its solution.
#pragma once

#include <cstddef>
#include <cstdint>

#include "imgsim/transport.hpp"
#include "transport/costs.hpp"
#include "transport/exact_sum.hpp"
#include "transport/interrupt.hpp"
#include "transport/masses.hpp"
#include "transport/workspace.hpp"

namespace imgsim {

struct BlockArc {
  std::int32_t row, column;
  std::int64_t units;
  double rest;  // the flow is units + rest > 0
  double cost;
};

struct Block {
  std::size_t n, m;
  MassVector supply, demand;  // balanced, units and rests each; overwritten
  // The solution: positive flows of a basis, and its potentials.
  BlockArc* arcs;
  std::size_t arcs_n = 0;
  Twofold *u, *v;
  bool twofold = false;  // the low parts matter
  bool whole = false;    // costs and potentials are whole numbers, exactly
  bool blocked = false;  // a forbidden arc has flow, from or to ...
  std::size_t blocked_row = 0, blocked_column = 0;
  std::int64_t pivots = 0;
  TransportStatus status = TransportStatus::optimal;
};

void solve_block(const GroundDistance& ground, const TransportOptions& options, Costs* costs,
                 Workspace& space, Interrupt& interrupt, TransportSteps* steps, Block* block);

}  // namespace imgsim
