#include "transport/assignment.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

#include "transport/rounded_assignment.hpp"

namespace imgsim {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr std::int32_t kFree = -1;
constexpr int kRounds = 32;

class Assigner {
 public:
  Assigner(const DenseGraph& graph, double tolerance, Workspace& space, Interrupt& interrupt)
      : graph_(graph), n_(graph.n), tolerance_(tolerance), space_(space), interrupt_(interrupt) {
    v_ = space.take_filled<double>(graph.padded, 0.0);
    open_v_ = space.take_filled<double>(graph.padded, 0.0);
    distance_ = space.take_filled<double>(graph.padded, kInfinity);
    from_ = space.take_filled<std::int64_t>(graph.padded, 0);
    column_of_ = space.take_filled<std::int32_t>(n_, kFree);
    row_of_ = space.take_filled<std::int32_t>(n_, kFree);
    free_ = space.take<std::int32_t>(n_ + 1);
    closed_ = space.take<std::int32_t>(n_ + 1);
    closed_distance_ = space.take<double>(n_);
    owner_u_ = space.take_filled<double>(n_, 0.0);
  }

  bool run(double largest, std::int32_t* keys) {
    const RoundedAssignment start{column_of_, row_of_, v_};
    if (!assign_rounded(graph_, largest, keys, space_, interrupt_, start)) return false;
    const bool tight = tighten();
    if (interrupt_.due(0)) return false;
    free_rows_that_are_not_tight(tight);
    if (free_n_ == 0) return true;
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

  // Rounded potentials are nearly right: lowers each column to what the owners of the others allow,
  // until nothing changes or, where the rounded assignment is not the best one, forever. True when
  // no column of a row that has one can be lowered any more, or when interrupted.
  bool tighten() {
    std::int32_t* rows = closed_;
    std::size_t rows_n = 0;
    for (std::size_t i = 0; i < n_; ++i)
      if (column_of_[i] != kFree) rows[rows_n++] = static_cast<std::int32_t>(i);
    for (int round = 0; rows_n > 0 && round < kRounds; ++round) {
      std::fill_n(from_, n_, std::int64_t{kFree});
      for (std::size_t k = 0; k < rows_n; ++k) {
        if (interrupt_.due(graph_.row_weight())) return true;
        const auto i = static_cast<std::size_t>(rows[k]);
        const auto j = static_cast<std::size_t>(column_of_[i]);
        graph_.table->lower(row(i), v_[j] - row(i)[j], rows[k], graph_.padded, v_, from_);
      }
      // A change that came before the owner's turn has been seen. Rows are in order.
      std::size_t old = 0, next = 0;
      std::int32_t* changed = free_;
      for (std::size_t i = 0; i < n_; ++i) {
        if (column_of_[i] == kFree) continue;
        const auto here = static_cast<std::int32_t>(i);
        const bool had_turn = old < rows_n && rows[old] == here;
        old += had_turn;
        changed[next] = here;
        next += from_[column_of_[i]] > (had_turn ? here : kFree);
      }
      std::swap(closed_, free_);
      rows = changed;
      rows_n = next;
    }
    return rows_n == 0;
  }

  void free_rows_that_are_not_tight(bool all_tight) {
    double largest = 0.0;
    for (std::size_t i = 0; i < n_; ++i) {
      const std::int32_t j = column_of_[i];
      if (j != kFree) largest = std::max({largest, std::fabs(v_[j]), std::fabs(row(i)[j])});
    }
    for (std::size_t i = 0; i < n_; ++i) {
      const std::int32_t j = column_of_[i];
      if (j != kFree) {
        if (all_tight) continue;
        double least;
        graph_.minima(i, 1, v_, &least);
        if (row(i)[j] - v_[j] - least <= tolerance_ * largest) continue;
        row_of_[j] = column_of_[i] = kFree;
      }
      free_[free_n_++] = static_cast<std::int32_t>(i);
    }
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
  double tolerance_;
  Workspace& space_;
  Interrupt& interrupt_;
  double *v_, *open_v_;  // open_v_: -infinity where the column is closed
  double *distance_, *closed_distance_, *owner_u_;
  std::int64_t* from_;
  std::int32_t *column_of_, *row_of_, *free_, *closed_;
  std::size_t free_n_ = 0;
  bool complete_ = true;
};

}  // namespace

bool assign(const DenseGraph& graph, double largest, double tolerance, std::int32_t* keys,
            Workspace& space, Interrupt& interrupt, Assignment* out) {
  Assigner assigner(graph, tolerance, space, interrupt);
  const bool done = assigner.run(largest, keys);
  *out = assigner.result();
  return done;
}

}  // namespace imgsim
