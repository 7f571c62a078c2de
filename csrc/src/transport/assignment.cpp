#include "transport/assignment.hpp"

#include <algorithm>
#include <limits>

namespace imgsim {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr std::int32_t kFree = -1;

class Assigner {
 public:
  Assigner(const DenseGraph& graph, Workspace& space, Interrupt& interrupt)
      : graph_(graph), n_(graph.n), interrupt_(interrupt) {
    v_ = space.take_filled<double>(graph.padded, 0.0);
    open_v_ = space.take_filled<double>(graph.padded, 0.0);
    distance_ = space.take_filled<double>(graph.padded, kInfinity);
    from_ = space.take_filled<std::int64_t>(graph.padded, 0);
    column_of_ = space.take_filled<std::int32_t>(n_, kFree);
    row_of_ = space.take_filled<std::int32_t>(n_, kFree);
    free_ = space.take<std::int32_t>(n_);
    closed_ = space.take<std::int32_t>(n_);
    closed_distance_ = space.take<double>(n_);
    owner_u_ = space.take_filled<double>(n_, 0.0);
  }

  bool run() {
    reduce_columns();
    transfer_reductions();
    collect_free_rows();
    for (std::size_t j = 0; j < n_; ++j) set_owner_u(j);
    for (std::size_t k = 0; k < free_n_; ++k) {
      if (interrupt_.due()) return false;
      if (!augment(free_[k])) {
        complete_ = false;
        return true;
      }
    }
    return true;
  }

  Assignment result() const { return {column_of_, v_, complete_}; }

 private:
  const double* row(std::size_t i) const { return graph_.costs + i * graph_.stride; }

  // v_j = the least cost of column j; the row where it is takes the column if it has none.
  void reduce_columns() {
    for (std::size_t i = 0; i < n_; ++i)
      graph_.table->lower(row(i), 0.0, static_cast<std::int64_t>(i), graph_.padded, distance_,
                          from_);
    taken_ = closed_;
    std::fill_n(taken_, n_, 0);
    for (std::size_t j = n_; j-- > 0;) {
      v_[j] = distance_[j];
      const auto i = static_cast<std::size_t>(from_[j]);
      ++taken_[i];
      if (column_of_[i] != kFree) continue;
      match(i, j);
    }
  }

  // A row that is the best of one column only can lower that column's potential.
  void transfer_reductions() {
    for (std::size_t i = 0; i < n_; ++i) {
      if (taken_[i] != 1) continue;
      const auto j = static_cast<std::size_t>(column_of_[i]);
      const double kept = v_[j];
      v_[j] = -kInfinity;
      double least;
      graph_.minima(i, 1, v_, &least);
      v_[j] = least < kInfinity ? kept - (least - (row(i)[j] - kept)) : kept;
    }
  }

  // Jonker and Volgenant let free rows bid for columns next. With SIMD the searches that follow are
  // cheaper than those auctions (measured), so there are none.
  void collect_free_rows() {
    for (std::size_t i = 0; i < n_; ++i)
      if (column_of_[i] == kFree) free_[free_n_++] = static_cast<std::int32_t>(i);
  }

  void set_owner_u(std::size_t j) {
    if (row_of_[j] != kFree) owner_u_[j] = row(static_cast<std::size_t>(row_of_[j]))[j] - v_[j];
  }

  // Dijkstra's algorithm from a free row over reduced costs to the nearest free column.
  bool augment(std::int32_t start) {
    std::copy_n(v_, graph_.padded, open_v_);
    std::fill_n(distance_, graph_.padded, kInfinity);
    const PathSearch search{graph_.costs, graph_.stride,    graph_.padded, n_,
                            open_v_,      distance_,        from_,         row_of_,
                            owner_u_,     closed_distance_, closed_};
    std::size_t closed;
    double reached;
    const std::size_t end =
        graph_.table->nearest_free(&search, static_cast<std::size_t>(start), &closed, &reached);
    if (end >= n_) return false;
    for (std::size_t k = 0; k < closed; ++k) v_[closed_[k]] += closed_distance_[k] - reached;
    for (std::size_t j = end;;) {
      const auto to = static_cast<std::size_t>(from_[j]);
      const std::int32_t freed = column_of_[to];
      match(to, j);
      if (to == static_cast<std::size_t>(start)) break;
      j = static_cast<std::size_t>(freed);
    }
    set_owner_u(end);
    for (std::size_t k = 0; k < closed; ++k) set_owner_u(static_cast<std::size_t>(closed_[k]));
    return true;
  }

  void match(std::size_t i, std::size_t j) {
    column_of_[i] = static_cast<std::int32_t>(j);
    row_of_[j] = static_cast<std::int32_t>(i);
  }

  const DenseGraph& graph_;
  std::size_t n_;
  Interrupt& interrupt_;
  double *v_, *open_v_;  // open_v_: -infinity where the column is closed
  double *distance_, *closed_distance_, *owner_u_;
  std::int64_t* from_;
  std::int32_t *column_of_, *row_of_, *free_, *closed_, *taken_ = nullptr;
  std::size_t free_n_ = 0;
  bool complete_ = true;
};

}  // namespace

bool assign(const DenseGraph& graph, Workspace& space, Interrupt& interrupt, Assignment* out) {
  Assigner assigner(graph, space, interrupt);
  const bool done = assigner.run();
  *out = assigner.result();
  return done;
}

}  // namespace imgsim
