#include "transport/rounded_assignment.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

namespace imgsim {
namespace {

constexpr std::int32_t kFree = -1, kClosed = -1;
constexpr std::size_t kRowsAtATime = 16;
constexpr std::int32_t kUnreached = std::numeric_limits<std::int32_t>::max();
constexpr std::int32_t kLargestKey = std::int32_t{1} << 29;
constexpr int kMostScale = 1000;  // powers of two
constexpr double kFarAbove = 64.0;

class RoundedAssigner {
 public:
  RoundedAssigner(const DenseGraph& graph, std::int32_t* keys, Workspace& space,
                  Interrupt& interrupt, const RoundedAssignment& out)
      : graph_(graph),
        n_(graph.n),
        m_((n_ + kSingles - 1) / kSingles * kSingles),
        space_(space),
        interrupt_(interrupt),
        out_(out),
        keys_(keys) {
    while (std::size_t{1} << bits_ < m_) ++bits_;
    v_ = space.take_filled<std::int32_t>(m_, 0);
    owner_u_ = space.take_filled<std::int32_t>(m_, 0);
    distances_ = space.take_filled<std::int32_t>(m_, kUnreached);
    from_ = space.take_filled<std::int32_t>(m_, 0);
    places_ = space.take_filled<std::int32_t>(m_, kFree);
    closed_ = space.take<std::int32_t>(n_ + 1);
    closed_distances_ = space.take<std::int32_t>(n_ + 1);
    std::fill_n(out.column_of, n_, kFree);
    std::fill_n(out.row_of, n_, kFree);
  }

  // Stops early where potentials leave the range of the keys.
  bool run(double largest) {
    if (!round(largest)) return false;
    reduce_columns();
    for (std::size_t j = 0; j < n_; ++j) set_owner_u(j);
    for (std::size_t i = 0; i < n_ && lowest_ > -kLargestKey; ++i) {
      if (out_.column_of[i] != kFree) continue;
      if (interrupt_.due()) return false;
      augment(i);
    }
    for (std::size_t j = 0; j < n_; ++j) out_.v[j] = v_[j] * unit_;
    return true;
  }

 private:
  const std::int32_t* row(std::size_t i) const { return keys_ + i * m_; }
  std::int32_t cost(std::size_t i, std::size_t j) const {
    return row(i)[j] - static_cast<std::int32_t>(j);
  }

  // Each row less its least cost, times a power of two: at most 2^(29 - bits). With potentials
  // above -2^29 all sums of three such keys then stay below 2^31. Costs far above the rows' least
  // ones, as those that stand for forbidden arcs, are cut off: they would take the digits of the
  // others.
  bool round(double largest) {
    double* least = space_.take<double>(n_);
    std::fill_n(out_.v, graph_.padded, 0.0);
    for (std::size_t i = 0; i < n_; i += kRowsAtATime) {
      if (interrupt_.due()) return false;
      graph_.minima(i, std::min(n_ - i, kRowsAtATime), out_.v, least + i);
    }
    const double dear = kFarAbove * *std::max_element(least, least + n_);
    int exponent;
    std::frexp(dear > 0 ? std::min(dear, 2 * largest) : 2 * largest, &exponent);
    const auto bits = static_cast<int>(bits_);
    const int scale = std::min(29 - bits - exponent, kMostScale);
    const double factor = std::ldexp(1.0, scale), most = std::ldexp(1.0, 29 - bits);
    unit_ = std::ldexp(1.0, -scale - bits);
    for (std::size_t i = 0; i < n_; ++i) {
      if (interrupt_.due()) return false;
      std::int32_t* keys = keys_ + i * m_;
      graph_.table->to_keys(graph_.costs + i * graph_.stride, least[i], factor, most, bits_, n_,
                            keys);
      std::fill(keys + n_, keys + m_, 2 * kLargestKey);
    }
    return true;
  }

  // v_j = the least cost of column j; the row where it is takes the column if it has none. More
  // elaborate starts (the bids of Jonker and Volgenant's reductions) cost more than they save.
  void reduce_columns() {
    for (std::size_t i = 0; i < n_; ++i)
      graph_.table->lower_keys(row(i), static_cast<std::int32_t>(i), m_, distances_, from_);
    for (std::size_t j = n_; j-- > 0;) {
      v_[j] = distances_[j] - static_cast<std::int32_t>(j);
      const auto i = static_cast<std::size_t>(from_[j]);
      if (out_.column_of[i] == kFree) match(i, j);
    }
  }

  void set_owner_u(std::size_t j) {
    const std::int32_t i = out_.row_of[j];
    if (i != kFree) owner_u_[j] = cost(static_cast<std::size_t>(i), j) - v_[j];
  }

  // Dijkstra's algorithm from a free row over reduced costs to the nearest free column.
  void augment(std::size_t start) {
    std::fill_n(distances_, m_, kUnreached);
    std::fill(distances_ + n_, distances_ + m_, kClosed);
    const KeySearch search{keys_, m_,      bits_,    v_,      distances_,
                           from_, places_, owner_u_, closed_, closed_distances_};
    const std::size_t closed = graph_.table->nearest_free_key(&search, start);
    for (std::size_t k = 0; k < closed; ++k)
      lower_v(static_cast<std::size_t>(closed_[k]),
              closed_distances_[closed] - closed_distances_[k]);
    auto j = static_cast<std::size_t>(closed_[closed]);
    for (std::int32_t before; (before = from_[j]) != kFree; j = static_cast<std::size_t>(before))
      match(static_cast<std::size_t>(out_.row_of[before]), j);
    match(start, j);
    for (std::size_t k = 0; k <= closed; ++k) set_owner_u(static_cast<std::size_t>(closed_[k]));
  }

  void lower_v(std::size_t j, std::int32_t by) {
    v_[j] -= by;
    lowest_ = std::min(lowest_, v_[j]);
  }

  void match(std::size_t i, std::size_t j) {
    out_.column_of[i] = static_cast<std::int32_t>(j);
    out_.row_of[j] = static_cast<std::int32_t>(i);
    places_[j] = static_cast<std::int32_t>(i * (m_ / kSingles));
  }

  const DenseGraph& graph_;
  std::size_t n_, m_;
  unsigned bits_ = 4;
  Workspace& space_;
  Interrupt& interrupt_;
  RoundedAssignment out_;
  std::int32_t *keys_, *v_, *owner_u_, *distances_, *from_;
  std::int32_t *places_, *closed_, *closed_distances_;
  std::int32_t lowest_ = 0;
  double unit_ = 1.0;
};

}  // namespace

bool assign_rounded(const DenseGraph& graph, double largest, std::int32_t* keys, Workspace& space,
                    Interrupt& interrupt, const RoundedAssignment& out) {
  return RoundedAssigner(graph, keys, space, interrupt, out).run(largest);
}

}  // namespace imgsim
