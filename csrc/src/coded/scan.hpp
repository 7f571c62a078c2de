// Scans of codes.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "coded/interrupt.hpp"
#include "coded/left.hpp"
#include "coded/near_leaves.hpp"

namespace imgsim::coded {

// One thread's part of the rows, for all queries.
class Scan {
 public:
  // seeds: of each query the leaves that seed() has taken, ascending.
  Scan(const Search& search, std::vector<std::vector<Place>>* seeds, Thresholds* thresholds,
       SharedInterrupt* interrupt)
      : search_(search),
        seeds_(seeds),
        thresholds_(thresholds),
        interrupt_(interrupt),
        exact_(search.metric, search.queries, search.parts),
        left_(search.queries.rows(), Left(search.k)),
        most_(std::clamp(kKeptInAll / left_.size(), 4 * search.k + 64, 4 * search.k + kKept)),
        near_(new std::uint32_t[std::max(search.parts.most_block_rows(), kLeafRows)]) {}

  // Takes the leaves of all trees that seem nearest, so that others can be ruled out. To be called
  // before any block.
  void seed(std::size_t query) {
    const Parts& parts = search_.parts;
    const std::size_t enough = 8 * search_.k / kLeafRows;
    Nearest groups(kSeedGroups + enough), leaves(kSeeds + enough);
    for (std::size_t part = 0; part < parts.count(); ++part) {
      if (!parts.is_tree(part)) continue;
      const std::size_t all = parts.masses(part).rows;
      for (std::size_t block = 0; block < Parts::Tree::block_count(all); ++block)
        near_groups(
            parts.tree(part), all, block, search_.query_parts[query], groups.most(),
            [&](std::size_t group, std::uint32_t bound) { groups.add(bound, part, group); });
    }
    for (const Box& group : groups.take())
      near_leaves(parts.tree(group.place.part), parts.masses(group.place.part).rows, group.place.at,
                  search_.query_parts[query], leaves.most(),
                  [&](std::size_t leaf, std::uint32_t bound) {
                    leaves.add(bound, group.place.part, leaf);
                  });
    for (const Box& leaf : leaves.take()) {
      const Place first{leaf.place.part, leaf.place.at * static_cast<std::uint32_t>(kLeafRows)};
      list_all(query, first, rows_of_leaf(first));
      take();
      (*seeds_)[query].push_back(first);
    }
    std::sort((*seeds_)[query].begin(), (*seeds_)[query].end());
    left_[query].look(search_, query, &exact_, thresholds_, interrupt_);
  }

  void block(std::size_t number) {
    const Place begin = search_.parts.block(number);
    const std::size_t rows = search_.parts.block_rows(number);
    const bool is_tree = search_.parts.is_tree(begin.part);
    for (std::size_t q = 0; q < left_.size() && !interrupt_->seen(); ++q) {
      if (is_tree)
        list_leaves(q, begin, rows);
      else
        list_all(q, begin, rows);
      if (listed_.size() >= kManyListed) take();
    }
    if (listed_.size() >= kTogether) take();
    seen_ += rows;
  }

  // Looks at all that has been found.
  void finish() {
    take();
    for (std::size_t q = 0; q < left_.size() && !interrupt_->ask(); ++q)
      left_[q].finish(search_, q, &exact_, thresholds_, interrupt_);
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
  // A leaf, or a group, and how near it may be.
  struct Box {
    std::uint32_t bound;
    Place place;
    friend bool operator<(const Box& x, const Box& y) {
      return x.bound != y.bound ? x.bound < y.bound : x.place < y.place;
    }
  };
  // The few nearest of many boxes.
  class Nearest {
   public:
    explicit Nearest(std::size_t wanted) : wanted_(wanted) {}
    // None farther gets in.
    std::uint32_t most() const { return most_; }
    void add(std::uint32_t bound, std::size_t part, std::size_t number) {
      boxes_.push_back(
          {bound, {static_cast<std::uint32_t>(part), static_cast<std::uint32_t>(number)}});
      if (boxes_.size() >= 4 * wanted_) shorten();
    }
    // Nearest first.
    std::vector<Box> take() {
      shorten();
      std::sort(boxes_.begin(), boxes_.end());
      return std::move(boxes_);
    }

   private:
    void shorten() {
      if (boxes_.size() <= wanted_) return;
      const auto end = boxes_.begin() + static_cast<std::ptrdiff_t>(wanted_);
      std::nth_element(boxes_.begin(), end - 1, boxes_.end());
      most_ = (end - 1)->bound;
      boxes_.erase(end, boxes_.end());
    }

    std::size_t wanted_;
    std::uint32_t most_ = CdfCoder::kNoPartsLimit;
    std::vector<Box> boxes_;
  };

  const std::uint8_t* code_of(std::size_t query) const {
    return search_.query_codes.coarse_of(query);
  }
  std::uint32_t limit(std::size_t query) const {
    return search_.coder.limit(thresholds_->of(query),
                               search_.query_codes.lost(query) + CdfCoder::kMostLost);
  }
  std::uint32_t parts_limit(std::size_t query) const {
    return search_.coder.parts_limit(thresholds_->of(query));
  }
  std::size_t rows_of_leaf(Place first) const {
    return search_.parts.rows_of_leaf(first.part, first.at);
  }

  // What is near of the leaves of some groups.
  void list_leaves(std::size_t query, Place begin, std::size_t rows) {
    const Parts::Tree& tree = search_.parts.tree(begin.part);
    const std::size_t all = search_.parts.masses(begin.part).rows;
    const std::vector<Place>& seeds = (*seeds_)[query];
    boxes_.clear();
    all_near_leaves(tree, all, begin.at, begin.at + rows, search_.query_parts[query],
                    parts_limit(query), [&](std::size_t leaf, std::uint32_t bound) {
                      const auto at = static_cast<std::uint32_t>(leaf * kLeafRows);
                      boxes_.push_back({bound, {begin.part, at}});
                    });
    for (std::size_t i = 0; i < std::min(kLeavesAhead, boxes_.size()); ++i)
      fetch_leaf(boxes_[i].place);
    for (std::size_t i = 0; i < boxes_.size() && !interrupt_->seen(); ++i) {
      if (i + kLeavesAhead < boxes_.size()) fetch_leaf(boxes_[i + kLeavesAhead].place);
      const Place first = boxes_[i].place;
      if (boxes_[i].bound > parts_limit(query)) continue;
      if (std::binary_search(seeds.begin(), seeds.end(), first)) continue;
      list_all(query, first, rows_of_leaf(first));
      if (listed_.size() >= kManyListed) take();
    }
  }

  void fetch_leaf(Place first) const {
    constexpr std::size_t kLine = 64;
    const std::uint8_t* codes = search_.parts.codes(first.part).coarse_of(first.at);
    for (std::size_t i = 0; i < rows_of_leaf(first) * kHalfCode; i += kLine) prefetch(codes + i);
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
    for (const Near& one : listed_) {
      const double lower = search_.lower_bound(one.query, one.place);
      if (lower > thresholds_->of(one.query)) continue;
      if (!exact_.exists(one.place) || search_.parts.skipped(one.place)) continue;
      Left& left = left_[one.query];
      left.add(lower, one.place);
      if (left.is_long()) shorten(one.query, &left);
    }
    listed_.clear();
  }

  // A search of few rows looks at none before it has seen all; one of many looks early, so that
  // thresholds are good, and then again and again, because they get better.
  void shorten(std::size_t query, Left* left) {
    if (interrupt_->ask()) return;
    if (!left->has_looked()) left->tighten(search_, query, thresholds_);
    if (left->has_looked() || left->size() > most_ || seen_ >= kFewSeen)
      left->look(search_, query, &exact_, thresholds_, interrupt_);
    // Rows that all look alike: no bound helps.
    if (left->size() > most_) left->finish(search_, query, &exact_, thresholds_, interrupt_);
  }

  const Search& search_;
  std::vector<std::vector<Place>>* const seeds_;
  Thresholds* const thresholds_;
  SharedInterrupt* const interrupt_;
  Exact exact_;
  std::vector<Left> left_;
  std::size_t most_;
  std::unique_ptr<std::uint32_t[]> near_;
  std::vector<Near> listed_;
  std::vector<Box> boxes_;
  std::size_t seen_ = 0;
  std::uint64_t scanned_ = 0;
};

}  // namespace imgsim::coded
