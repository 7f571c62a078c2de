// Masses as whole numbers of one tiny unit, so that all flows are exact.
#pragma once

#include <cstddef>
#include <cstdint>

#include "imgsim/transport.hpp"

namespace imgsim {

struct WholeMasses {
  std::int64_t *supply, *demand;  // one per source and target
  std::int64_t supply_total = 0, demand_total = 0;
  int exponent = 0;      // a mass is so many units of 2^exponent ...
  double divisor = 1.0;  // ... divided by this

  double mass(double units) const;
};

// The larger total becomes about 2^60 units, so a mass is rounded only where it is below 2^-8 of
// the total, by at most 2^-61 of it. Totals that have to agree do so exactly afterwards. Returns
// false where they have to and must not be changed so much.
bool to_whole(const TransportProblem& problem, WholeMasses* masses);

}  // namespace imgsim
