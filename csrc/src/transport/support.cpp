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

void sum_by_place(const std::int32_t* place_of, const std::int64_t* masses, std::size_t size,
                  std::int64_t* at) {
  for (std::size_t k = 0; k < size; ++k) at[place_of[k]] += masses[k];
}

// The places that have mass left, in order.
struct Left {
  Side side;
  std::int64_t* masses;
  std::int32_t* places;
};
Left collect(const std::int64_t* at, std::size_t places, const std::int32_t* representative,
             std::int64_t extra, Workspace& space) {
  auto* ids = space.take<std::int32_t>(places + 1);
  auto* kept = representative != nullptr ? space.take<std::int32_t>(places + 1) : ids;
  auto* masses = space.take<std::int64_t>(places + 1);
  std::size_t size = 0;
  for (std::size_t p = 0; p < places; ++p) {
    if (at[p] == 0) continue;
    ids[size] = representative != nullptr ? representative[p] : static_cast<std::int32_t>(p);
    kept[size] = static_cast<std::int32_t>(p);
    masses[size++] = at[p];
  }
  if (extra > 0) {
    ids[size] = kept[size] = kDummy;
    masses[size++] = extra;
  }
  return {{ids, size}, masses, kept};
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
  std::int64_t *supply_at = masses->supply, *demand_at = masses->demand;
  std::size_t source_places = n, target_places = m;
  const std::int32_t *source_first = nullptr, *target_first = nullptr;
  bool common = ground.common_mass_stays();

  if (ground.kind != Ground::matrix && !ground.same_points && n + m >= kWorthLooking) {
    PlaceTable table(n + m, ground.dims, space);
    auto* of_source = space.take<std::int32_t>(n);
    auto* of_target = space.take<std::int32_t>(m);
    for (std::size_t i = 0; i < n; ++i) of_source[i] = table.place_of(ground.x + i * ground.dims);
    for (std::size_t j = 0; j < m; ++j) of_target[j] = table.place_of(ground.y + j * ground.dims);
    if (table.places() < n + m) {
      const std::size_t places = source_places = target_places = table.places();
      supply_at = space.take_filled<std::int64_t>(places, 0);
      demand_at = space.take_filled<std::int64_t>(places, 0);
      sum_by_place(of_source, masses->supply, n, supply_at);
      sum_by_place(of_target, masses->demand, m, demand_at);
      source_first = representatives(of_source, n, places, space);
      target_first = representatives(of_target, m, places, space);
      support.place_of_source = of_source;
      support.place_of_target = of_target;
      common = ground.kind != Ground::squared;
    }
  }
  support.places = std::max(source_places, target_places);
  if (common) {
    support.cancelled = space.take<std::int64_t>(source_places);
    for (std::size_t p = 0; p < source_places; ++p) {
      const std::int64_t both = std::min(supply_at[p], demand_at[p]);
      support.cancelled[p] = both;
      supply_at[p] -= both;
      demand_at[p] -= both;
    }
  }
  const std::int64_t difference = masses->supply_total - masses->demand_total;
  const Left sources = collect(supply_at, source_places, source_first,
                               std::max<std::int64_t>(-difference, 0), space);
  const Left targets =
      collect(demand_at, target_places, target_first, std::max<std::int64_t>(difference, 0), space);
  support.sources = sources.side;
  support.supply = sources.masses;
  support.source_places = sources.places;
  support.targets = targets.side;
  support.demand = targets.masses;
  support.target_places = targets.places;
  return support;
}

void expand(const TransportProblem& problem, const Support& support, const WholeMasses& masses,
            std::vector<PlaceArc>* between, Workspace& space, std::vector<TransportArc>* arcs) {
  if (support.cancelled != nullptr)
    for (std::size_t p = 0; p < support.places; ++p)
      if (support.cancelled[p] > 0) {
        const auto place = static_cast<std::int32_t>(p);
        between->push_back({place, place, support.cancelled[p]});
      }
  const auto emit = [&](std::int32_t source, std::int32_t target, std::int64_t units) {
    arcs->push_back({source, target, masses.mass(static_cast<double>(units))});
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
    for (const PlaceArc& arc : *between) {
      std::int32_t &s = source[arc.source], &t = target[arc.target];
      std::int64_t left = arc.units;
      while (left > 0 && s >= 0 && t >= 0) {
        const std::int64_t units = std::min({left, masses.supply[s], masses.demand[t]});
        if (units > 0) emit(s, t, units);
        left -= units;
        masses.supply[s] -= units;
        masses.demand[t] -= units;
        if (masses.supply[s] == 0)
          s = next_source[s];
        else if (masses.demand[t] == 0)
          t = next_target[t];
      }
    }
  }
  std::sort(arcs->begin(), arcs->end(), [](const TransportArc& x, const TransportArc& y) {
    return x.source < y.source || (x.source == y.source && x.target < y.target);
  });
}

}  // namespace imgsim
