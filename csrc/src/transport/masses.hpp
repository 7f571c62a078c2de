// Masses as whole numbers of one tiny unit, so that the flows of the simplex are exact, plus what
// is left of each mass beyond whole units.
#pragma once

#include <cstddef>
#include <cstdint>

#include "imgsim/transport.hpp"
#include "transport/workspace.hpp"

namespace imgsim {

// One side: mass k is units[k] + rests[k] units.
struct MassVector {
  std::int64_t* units;
  double* rests;  // null where all masses are whole
  std::size_t size;
  std::int64_t units_total = 0;
  double rests_total = 0.0;

  double rest(std::size_t k) const { return rests != nullptr ? rests[k] : 0.0; }
  bool is_empty(std::size_t k) const { return units[k] == 0 && rest(k) <= 0.0; }
  double total() const { return static_cast<double>(units_total) + rests_total; }
};

MassVector copy_of(const MassVector& masses, Workspace& space);

struct WholeMasses {
  MassVector supply, demand;
  int exponent = 0;           // a mass is so many units of 2^exponent ...
  double divisor = 1.0;       // ... divided by this
  double cost_divisor = 1.0;  // costs in units are divided by this ...
  int cost_exponent = 0;      // ... and multiplied by 2 to this
  double left_over = 0.0;     // mass of the larger total that is not moved
  double excess = 0.0;        // units of supply that nobody demands; negative: of demand

  double mass(double units) const;
  // To be called when exponent or divisor change.
  void set_scale(int unit_exponent, double unit_divisor);

 private:
  double factor_ = 1.0;  // 2^exponent, 0 where a double cannot hold that
};

// The larger total becomes about 2^60 units. Where totals have to agree, both units and rests do
// afterwards. Returns false where they have to and must not be changed so much.
bool to_whole(const TransportProblem& problem, Workspace& space, WholeMasses* masses);

}  // namespace imgsim
