// Scans of codes.
#pragma once

#include <algorithm>
#include <bitset>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#include "coded/interrupt.hpp"
#include "coded/leaf_order.hpp"
#include "coded/left.hpp"
#include "patience.hpp"

namespace imgsim::coded {

// One thread's part of the rows, for all queries.
class Scan {
 public:
  Scan(const Search& search, Found* found, SharedInterrupt* interrupt)
      : search_(search),
        found_(found),
        interrupt_(interrupt),
        exact_(search.metric, search.queries, search.parts),
        left_(search.queries.rows()),
        most_(std::clamp(kKeptInAll / left_.size(), 4 * search.k + 64, 4 * search.k + kKept)),
        near_(new std::uint32_t[std::max(search.parts.most_block_rows(), kLeafRows)]) {}

  // One share of the search of all trees for a query: first, which leaves are to be read. False:
  // interrupted.
  bool list_leaves(std::size_t query, std::size_t share, LeafOrder* order) {
    bool is_seeder;
    std::uint32_t seeds_within = 0;
    {
      Phase::Turn turn(&order->seeding());
      std::size_t only;
      is_seeder = turn.next(&only);
      if (is_seeder) seeds_within = seed(query, order);
    }
    order->bound_others();
    if (is_seeder) list_seeds(query, *order, seeds_within);
    if (!is_done(order->seeding()) || !is_done(order->bounding())) return false;
    order->list(share, [&] { return interrupt_->ask() ? 0 : parts_limit(query); });
    return is_done(order->listing());
  }
  // Then reads them; those that have not been listed are, first. Returns when none is left.
  void trees(std::size_t query, std::size_t share, LeafOrder* order) {
    seen_ = std::max(seen_, kFewSeen);  // boxes rule most rows out: others are looked at early
    if (!list_leaves(query, share, order)) return;
    {
      Phase::Turn turn(&order->reading());
      read_leaves(query, share, order);
      take();
      left_[query].look(search_, query, &exact_, found_, interrupt_);
      order->leave(share, left_[query].take_sorted());
    }
    if (!is_done(order->reading())) return;
    order->finish(
        share, [&](const std::vector<Candidate>& rows, std::size_t begin, std::size_t end) {
          return Left::look_at(rows, begin, end, search_, query, &exact_, found_, interrupt_);
        });
  }

  // Rows in order, for all queries.
  void block(std::size_t number) {
    const Place begin = search_.parts.block(number);
    const std::size_t rows = search_.parts.block_rows(number);
    for (std::size_t q = 0; q < left_.size() && !interrupt_->seen(); ++q) {
      list_all(q, begin, rows);
      if (listed_.size() >= kManyListed) take();
    }
    if (listed_.size() >= kTogether) take();
    seen_ += rows;
  }

  // Looks at all that has been found.
  void finish() {
    for (std::size_t q = 0; q < left_.size() && !interrupt_->ask(); ++q) finish(q);
  }

  // To be called when there are no more blocks.
  std::vector<Left>& left() {
    take();
    return left_;
  }
  CodedResult effort() const {
    CodedResult result = exact_.effort();
    result.scanned = scanned_;
    return result;
  }

 private:
  static constexpr std::size_t kKept = 4096, kKeptInAll = std::size_t{1} << 22;
  static constexpr std::size_t kFewRows = 512;
  static constexpr std::size_t kFewSeen = 16384;
  static constexpr std::size_t kTogether = 48;  // that wait for memory together
  static constexpr std::size_t kManyListed = 65536;
  static constexpr std::size_t kSeedGroups = 16, kSeeds = 2;
  static constexpr std::size_t kLeavesAhead = 4;

  struct Near {
    std::size_t query;
    Place place;
  };
  const std::uint8_t* code_of(std::size_t query) const {
    return search_.query_codes.coarse_of(query);
  }
  std::uint32_t limit(std::size_t query) const {
    return search_.coder.limit(found_->threshold(query),
                               search_.query_codes.lost(query) + CdfCoder::kMostLost);
  }
  std::uint32_t parts_limit(std::size_t query) const {
    return search_.coder.parts_limit(found_->threshold(query));
  }
  std::size_t rows_of_leaf(Place first) const {
    return search_.parts.rows_of_leaf(first.part, first.at);
  }

  void finish(std::size_t query) {
    take();
    left_[query].finish(search_, query, &exact_, found_, interrupt_);
  }

  // Whether all threads have done their part, or, after an interrupt, not.
  bool is_done(const Phase& phase) const {
    for (Patience patience; !interrupt_->ask() && !phase.is_done();) patience.wait();
    return !interrupt_->seen();
  }

  // Takes the leaves that seem nearest, and looks at the k rows of them that do, so that most
  // others can be ruled out. Returns what the codes of rows are within that it has taken.
  std::uint32_t seed(std::size_t query, LeafOrder* order) {
    const std::size_t k = search_.k, enough = 8 * k / kLeafRows;
    order->choose_seeds(kSeedGroups + enough, kSeeds + enough);
    const std::vector<Place>& leaves = order->seeds();
    for (const Place& leaf : leaves) fetch_leaf(leaf);
    Left& left = left_[query];
    std::uint32_t first = 0;
    bool are_more = true;
    for (std::size_t wanted = 2 * k; left.size() < k && are_more; wanted *= 4) {
      std::size_t n;
      first = limit_of(query, leaves, wanted, &n);
      are_more = n >= wanted;
      left = Left();
      for (const Place& leaf : leaves) {
        if (interrupt_->ask()) return 0;
        const std::size_t near = near_rows(query, leaf, first);
        for (std::size_t i = 0; i < near; ++i) {
          search_.parts.fetch_code(at(leaf, near_[i]));
          search_.parts.fetch_number(at(leaf, near_[i]));
        }
        for (std::size_t i = 0; i < near; ++i) {
          const Place row = at(leaf, near_[i]);
          if (exact_.exists(row) && !search_.parts.skipped(row))
            left.add(search_.lower_bound(query, row), row);
        }
      }
    }
    left.look(search_, query, &exact_, found_, interrupt_);
    return first;
  }
  // Then lists their rows that are near and not within that.
  void list_seeds(std::size_t query, const LeafOrder& order, std::uint32_t taken) {
    for (const Place& leaf : order.seeds()) {
      if (interrupt_->ask()) return;
      scanned_ += rows_of_leaf(leaf);
      std::bitset<kLeafRows> done;
      for (std::size_t i = near_rows(query, leaf, taken); i-- > 0;) done.set(near_[i]);
      for (std::size_t i = near_rows(query, leaf, limit(query)); i-- > 0;)
        if (!done[near_[i]]) listed_.push_back({query, at(leaf, near_[i])});
    }
  }
  // What so many rows of some leaves are within, or all, if they are fewer: *n.
  std::uint32_t limit_of(std::size_t query, const std::vector<Place>& leaves, std::size_t wanted,
                         std::size_t* n) const {
    const auto count = [&](std::uint32_t limit) {
      *n = 0;
      for (const Place& leaf : leaves) *n += near_rows(query, leaf, limit);
      return *n;
    };
    // Twice as far until there are enough: to list many takes longer.
    std::uint32_t least = 0, most = 16;
    while (count(most) < wanted) {
      if (most == CdfCoder::kNoLimit || interrupt_->ask()) return most;
      least = most + 1;
      most = std::min(2 * most, CdfCoder::kNoLimit);
    }
    while (least < most && !interrupt_->ask()) {
      const std::uint32_t middle = (least + most) / 2;
      if (count(middle) < wanted)
        least = middle + 1;
      else
        most = middle;
    }
    *n = wanted;
    return most;
  }
  static Place at(Place first, std::uint32_t row) { return {first.part, first.at + row}; }

  // Those of a leaf whose coarse half is near, into near_.
  std::size_t near_rows(std::size_t query, Place leaf, std::uint32_t most) const {
    return kernels().near_codes(search_.parts.codes(leaf.part).coarse_of(leaf.at),
                                rows_of_leaf(leaf), code_of(query), most, near_.get());
  }

  // Those of the share, then of others.
  void read_leaves(std::size_t query, std::size_t share, LeafOrder* order) {
    order->take(share, [&](const std::vector<Box>& leaves, std::size_t begin, std::size_t end) {
      if (interrupt_->ask()) return;
      if (begin == 0) fetch_leaves(leaves, 0, kLeavesAhead);
      for (std::size_t i = begin; i < end && !interrupt_->seen(); ++i) {
        fetch_leaves(leaves, i + kLeavesAhead, i + kLeavesAhead + 1);
        if (leaves[i].bound > parts_limit(query) || order->is_seed(leaves[i].place)) continue;
        leaf(query, leaves[i].place);
      }
    });
  }
  void leaf(std::size_t query, Place first) {
    const std::size_t rows = rows_of_leaf(first);
    list_all(query, first, rows);
    if (listed_.size() >= kTogether) take();
    seen_ += rows;
  }
  void fetch_leaf(Place first) const {
    prefetch(search_.parts.codes(first.part).coarse_of(first.at), rows_of_leaf(first) * kHalfCode);
  }
  void fetch_leaves(const std::vector<Box>& leaves, std::size_t begin, std::size_t end) const {
    for (std::size_t i = begin; i < std::min(end, leaves.size()); ++i) fetch_leaf(leaves[i].place);
  }

  // What is near of some rows: few at a time until there is something to compare with.
  void list_all(std::size_t query, Place begin, std::size_t rows) {
    std::size_t done = 0;
    while (done < rows && limit(query) == CdfCoder::kNoLimit) {
      const std::size_t some = std::min(kFewRows, rows - done);
      list(query, {begin.part, begin.at + static_cast<std::uint32_t>(done)}, some);
      take();
      done += some;
    }
    if (done < rows)
      list(query, {begin.part, begin.at + static_cast<std::uint32_t>(done)}, rows - done);
  }

  // Rows from `first` on whose coarse half is near; the rest of their codes is on its way.
  void list(std::size_t query, Place first, std::size_t rows) {
    scanned_ += rows;
    const Parts::Codes& codes = search_.parts.codes(first.part);
    const std::size_t n = kernels().near_codes(codes.coarse_of(first.at), rows, code_of(query),
                                               limit(query), near_.get());
    for (std::size_t i = 0; i < n; ++i) {
      const Place place{first.part, first.at + near_[i]};
      search_.parts.fetch_code(place);
      listed_.push_back({query, place});
    }
  }

  void take() {
    near_enough_.clear();
    for (const Near& one : listed_) {
      const double lower = search_.lower_bound(one.query, one.place);
      if (lower > found_->threshold(one.query)) continue;
      search_.parts.fetch_number(one.place);
      near_enough_.push_back({one, lower});
    }
    listed_.clear();
    for (const auto& [one, lower] : near_enough_) {
      if (!exact_.exists(one.place) || search_.parts.skipped(one.place)) continue;
      Left& left = left_[one.query];
      left.add(lower, one.place);
      if (left.is_long()) shorten(one.query, &left);
    }
  }

  // A search of few rows looks at none before it has seen all; one of many looks early, so that
  // thresholds are good, and then again and again, because they get better.
  void shorten(std::size_t query, Left* left) {
    if (interrupt_->ask()) return;
    if (!left->has_looked()) left->tighten(search_, query, found_);
    if (left->has_looked() || left->size() > most_ || seen_ >= kFewSeen)
      left->look(search_, query, &exact_, found_, interrupt_);
    // Rows that all look alike: no bound helps.
    if (left->size() > most_) left->finish(search_, query, &exact_, found_, interrupt_);
  }

  const Search& search_;
  Found* const found_;
  SharedInterrupt* const interrupt_;
  Exact exact_;
  std::vector<Left> left_;
  std::size_t most_;
  std::unique_ptr<std::uint32_t[]> near_;
  std::vector<Near> listed_;
  std::vector<std::pair<Near, double>> near_enough_;  // and bounds
  std::size_t seen_ = 0;
  std::uint64_t scanned_ = 0;
};

}  // namespace imgsim::coded
