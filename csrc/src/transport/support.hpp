// What is left of a problem once mass at the same place has been put together, mass that stays has
// been cancelled and places without mass have been dropped.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "imgsim/transport.hpp"
#include "transport/costs.hpp"
#include "transport/masses.hpp"
#include "transport/workspace.hpp"

namespace imgsim {

struct Support {
  // Sources and targets left, by the number of one that is there, and their mass; the dummy, if
  // there is one, is the last of its side.
  Side sources, targets;
  MassVector supply, demand;
  // The place of each source and target left, and of everything: null where numbers are places.
  std::int32_t *source_places = nullptr, *target_places = nullptr;
  std::int32_t *place_of_source = nullptr, *place_of_target = nullptr;
  MassVector cancelled{};  // per place; no units where nothing can be
  std::size_t places = 0;
};

// Overwrites the masses' supply and demand where places are numbers.
Support reduce(const TransportProblem& problem, WholeMasses* masses, Workspace& space);

// A positive flow between two places.
struct PlaceArc {
  std::int32_t source, target;
  double units;
};

// Splits flows between places into flows between the sources and targets there.
void expand(const TransportProblem& problem, const Support& support, const WholeMasses& masses,
            bool in_order, std::vector<PlaceArc>* between, Workspace& space,
            std::vector<TransportArc>* arcs);

}  // namespace imgsim
