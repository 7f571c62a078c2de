#include "transport/support.hpp"

#include <algorithm>
#include <cstring>

namespace imgsim {
namespace {

constexpr std::size_t kWorthLooking = 24;  // points, from which equal ones are looked for

// Numbers places, equal points alike: open addressing over their coordinates.
class PlaceTable {
 public:
  PlaceTable(std::size_t points, std::size_t dims, Workspace& space) : dims_(dims) {
    while (slots_ < 2 * points) slots_ *= 2;
    table_ = space.take_filled<std::int32_t>(slots_, -1);
    known_ = space.take<const double*>(points);
  }
  std::int32_t place_of(const double* point) {
    std::size_t at = hash(point) & (slots_ - 1);
    for (; table_[at] >= 0; at = (at + 1) & (slots_ - 1))
      if (same(known_[table_[at]], point)) return table_[at];
    known_[places_] = point;
    return table_[at] = static_cast<std::int32_t>(places_++);
  }
  std::size_t places() const { return places_; }

 private:
  bool same(const double* x, const double* y) const {
    return std::equal(x, x + dims_, y);  // -0 equals 0
  }
  std::size_t hash(const double* point) const {
    std::uint64_t h = 0;
    for (std::size_t k = 0; k < dims_; ++k) {
      const double x = point[k] + 0.0;  // one zero
      std::uint64_t bits;
      std::memcpy(&bits, &x, sizeof bits);
      h = (h ^ bits) * 0x9E3779B97F4A7C15U;
      h ^= h >> 29;
    }
    return static_cast<std::size_t>(h ^ h >> 32);
  }

  std::size_t dims_, slots_ = 64, places_ = 0;
  std::int32_t* table_;
  const double** known_;
};

MassVector sum_by_place(const std::int32_t* place_of, const MassVector& masses, std::size_t places,
                        Workspace& space) {
  MassVector at{space.take_filled<std::int64_t>(places, 0), nullptr, places};
  if (masses.rests != nullptr) at.rests = space.take_filled<double>(places, 0.0);
  for (std::size_t k = 0; k < masses.size; ++k) {
    at.units[place_of[k]] += masses.units[k];
    if (at.rests != nullptr) at.rests[place_of[k]] += masses.rests[k];
  }
  return at;
}

// Takes away from both what both have. As many units from both, so that these stay balanced.
MassVector cancel(MassVector* supply, MassVector* demand, Workspace& space) {
  const std::size_t places = supply->size;
  const bool whole = supply->rests == nullptr;
  MassVector both{space.take<std::int64_t>(places), whole ? nullptr : space.take<double>(places),
                  places};
  for (std::size_t p = 0; p < places; ++p) {
    const std::int64_t units = std::min(supply->units[p], demand->units[p]);
    both.units[p] = units;
    supply->units[p] -= units;
    demand->units[p] -= units;
    if (whole) continue;
    const double left_supply = static_cast<double>(supply->units[p]) + supply->rests[p];
    const double left_demand = static_cast<double>(demand->units[p]) + demand->rests[p];
    const double rest = std::min(left_supply, left_demand);
    both.rests[p] = rest;
    supply->rests[p] -= rest;
    demand->rests[p] -= rest;
  }
  return both;
}

// The places that have mass left, in order, and the dummy.
struct Left {
  Side side;
  MassVector masses;
  std::int32_t* places;
};
Left collect(const MassVector& at, const std::int32_t* representative, bool has_dummy,
             std::int64_t units, double rest, Workspace& space) {
  const std::size_t room = at.size + 1;
  auto* ids = space.take<std::int32_t>(room);
  auto* kept = representative != nullptr ? space.take<std::int32_t>(room) : ids;
  const bool whole = at.rests == nullptr;
  MassVector masses{space.take<std::int64_t>(room), whole ? nullptr : space.take<double>(room), 0};
  const auto keep = [&](std::int32_t id, std::int32_t place, std::int64_t some, double more) {
    ids[masses.size] = id;
    kept[masses.size] = place;
    masses.units[masses.size] = some;
    if (!whole) masses.rests[masses.size] = more;
    masses.units_total += some;
    ++masses.size;
  };
  for (std::size_t p = 0; p < at.size; ++p) {
    if (at.is_empty(p)) continue;
    const auto place = static_cast<std::int32_t>(p);
    keep(representative != nullptr ? representative[p] : place, place, at.units[p], at.rest(p));
  }
  if (has_dummy) keep(kDummy, kDummy, units, rest);
  return {{ids, masses.size}, masses, kept};
}

std::int32_t* representatives(const std::int32_t* place_of, std::size_t size, std::size_t places,
                              Workspace& space) {
  auto* first = space.take_filled<std::int32_t>(places, -1);
  for (std::size_t k = size; k-- > 0;) first[place_of[k]] = static_cast<std::int32_t>(k);
  return first;
}

}  // namespace

Support reduce(const TransportProblem& problem, WholeMasses* masses, Workspace& space) {
  const std::size_t n = problem.supply.size, m = problem.demand.size;
  const GroundDistance& ground = problem.ground;
  Support support;
  MassVector supply_at = masses->supply, demand_at = masses->demand;
  const std::int32_t *source_first = nullptr, *target_first = nullptr;
  bool common = ground.common_mass_stays();

  if (ground.kind != Ground::matrix && !ground.same_points && n + m >= kWorthLooking) {
    PlaceTable table(n + m, ground.dims, space);
    auto* of_source = space.take<std::int32_t>(n);
    auto* of_target = space.take<std::int32_t>(m);
    for (std::size_t i = 0; i < n; ++i) of_source[i] = table.place_of(ground.x + i * ground.dims);
    for (std::size_t j = 0; j < m; ++j) of_target[j] = table.place_of(ground.y + j * ground.dims);
    if (table.places() < n + m) {
      supply_at = sum_by_place(of_source, masses->supply, table.places(), space);
      demand_at = sum_by_place(of_target, masses->demand, table.places(), space);
      source_first = representatives(of_source, n, table.places(), space);
      target_first = representatives(of_target, m, table.places(), space);
      support.place_of_source = of_source;
      support.place_of_target = of_target;
      common = ground.kind != Ground::squared;
    }
  }
  support.places = std::max(supply_at.size, demand_at.size);
  if (common) support.cancelled = cancel(&supply_at, &demand_at, space);
  const std::int64_t units = masses->supply.units_total - masses->demand.units_total;
  const double rest = masses->supply.rests_total - masses->demand.rests_total;
  const Left sources = collect(supply_at, source_first, masses->excess < 0, -units, -rest, space);
  const Left targets = collect(demand_at, target_first, masses->excess > 0, units, rest, space);
  support.sources = sources.side;
  support.supply = sources.masses;
  support.source_places = sources.places;
  support.targets = targets.side;
  support.demand = targets.masses;
  support.target_places = targets.places;
  return support;
}

void expand(const TransportProblem& problem, const Support& support, const WholeMasses& masses,
            bool in_order, std::vector<PlaceArc>* between, Workspace& space,
            std::vector<TransportArc>* arcs) {
  arcs->reserve(between->size() + support.cancelled.size);
  for (std::size_t p = 0; p < support.cancelled.size; ++p) {
    const double units =
        static_cast<double>(support.cancelled.units[p]) + support.cancelled.rest(p);
    const auto place = static_cast<std::int32_t>(p);
    if (units > 0) between->push_back({place, place, units});
  }
  const auto emit = [&](std::int32_t source, std::int32_t target, double units) {
    arcs->push_back({source, target, masses.mass(units)});
  };
  if (support.place_of_source == nullptr) {
    for (const PlaceArc& arc : *between) emit(arc.source, arc.target, arc.units);
  } else {
    // Members of each place as linked lists, lowest number first.
    const auto lists = [&](const std::int32_t* place_of, std::size_t size, std::int32_t** first,
                           std::int32_t** next) {
      *first = space.take_filled<std::int32_t>(support.places, -1);
      *next = space.take<std::int32_t>(size);
      for (std::size_t k = size; k-- > 0;) {
        (*next)[k] = (*first)[place_of[k]];
        (*first)[place_of[k]] = static_cast<std::int32_t>(k);
      }
    };
    std::int32_t *source, *next_source, *target, *next_target;
    lists(support.place_of_source, problem.supply.size, &source, &next_source);
    lists(support.place_of_target, problem.demand.size, &target, &next_target);
    // What each source and target still has to give and to take.
    const auto left_of = [&](const MassVector& side) {
      auto* left = space.take<double>(side.size);
      for (std::size_t k = 0; k < side.size; ++k)
        left[k] = static_cast<double>(side.units[k]) + side.rest(k);
      return left;
    };
    double *supply = left_of(masses.supply), *demand = left_of(masses.demand);
    for (const PlaceArc& arc : *between) {
      std::int32_t &s = source[arc.source], &t = target[arc.target];
      for (double left = arc.units; left > 0 && s >= 0 && t >= 0;) {
        const double units = std::min({left, supply[s], demand[t]});
        if (units > 0) emit(s, t, units);
        left -= units;
        supply[s] -= units;
        demand[t] -= units;
        if (left <= 0) break;
        // The last of a place keeps what rounding errors leave over.
        if (supply[s] <= 0 && next_source[s] >= 0)
          s = next_source[s];
        else if (demand[t] <= 0 && next_target[t] >= 0)
          t = next_target[t];
        else
          break;
      }
    }
  }
  if (!in_order) return;
  std::sort(arcs->begin(), arcs->end(), [](const TransportArc& x, const TransportArc& y) {
    return x.source < y.source || (x.source == y.source && x.target < y.target);
  });
}

}  // namespace imgsim
