// The leaves of all trees in the order in which a query reads them.
#pragma once

#include <algorithm>
#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

#include "coded/left.hpp"
#include "coded/near_leaves.hpp"
#include "coded/parts.hpp"
#include "coded/phase.hpp"
#include "coded/prefetch.hpp"

namespace imgsim::coded {

// A leaf, or a group, and how near it may be, in parts of a unit.
struct Box {
  std::uint32_t bound;
  Place place;  // of its first row
  friend bool operator<(const Box& x, const Box& y) {
    return x.bound != y.bound ? x.bound < y.bound : x.place < y.place;
  }
};

// The leaves that one query has to read. Threads share them: each lists those of some groups, sorts
// them, reads them nearest first and then helps others, so that thresholds soon are what they are
// in the end, and little is read that a single thread would not read.
class LeafOrder {
 public:
  // shares: of as many threads at most.
  LeafOrder(const Parts& parts, const CoarseParts& query, std::size_t shares)
      : parts_(parts),
        query_(query),
        step_(step_of_sample(parts)),
        sampled_((parts.tree_blocks() + step_ - 1) / step_),
        bounding_(parts.tree_blocks() - sampled_, kBoundedAtOnce),
        listing_(parts.tree_blocks(), kListedAtOnce),
        bounds_(parts.tree_blocks() * kGroups),
        least_(parts.tree_blocks()),
        lots_(shares) {}

  // First the seeds: the nearest leaves of the nearest groups, of many pieces only of those of a
  // sample, because one thread does it alone, as the only piece of seeding().
  void choose_seeds(std::size_t groups, std::size_t leaves) {
    for (std::size_t i = 0; i < sampled_; ++i) bound_groups(i * step_);
    Nearest near_groups(groups), near(leaves);
    // So many pieces have one within that.
    std::vector<std::uint16_t> least(sampled_);
    for (std::size_t i = 0; i < least.size(); ++i) least[i] = least_[i * step_];
    const auto last =
        least.begin() + static_cast<std::ptrdiff_t>(std::min(groups, least.size()) - 1);
    std::nth_element(least.begin(), last, least.end());
    const std::uint32_t most = groups < least.size() ? *last : CdfCoder::kNoPartsLimit;
    for (std::size_t i = 0; i < least.size(); ++i)
      each_group(i * step_, most, [&](const Box& one) { near_groups.add(one); });
    const std::vector<Place> chosen = near_groups.take();
    for (const Place& group : chosen) fetch_boxes(group);
    for (const Place& group : chosen)
      each_leaf(group, near.most(), [&](const Box& one) { near.add(one); });
    seeds_ = near.take();
    std::sort(seeds_.begin(), seeds_.end());
  }
  Phase& seeding() { return seeding_; }
  const std::vector<Place>& seeds() const { return seeds_; }
  bool is_seed(Place leaf) const { return std::binary_search(seeds_.begin(), seeds_.end(), leaf); }

  // How near the other groups are: meanwhile, by the other threads.
  void bound_others() {
    Phase::Turn turn(&bounding_);
    for (std::size_t i; turn.next(&i);) bound_groups(i / (step_ - 1) * step_ + 1 + i % (step_ - 1));
  }
  const Phase& bounding() const { return bounding_; }

  // Then all leaves within limit() that no other thread lists are put into the lot of a share.
  template <class Limit>
  void list(std::size_t share, const Limit& limit) {
    Phase::Turn turn(&listing_);
    std::vector<Box> near;
    std::vector<Place> groups, before;  // those before are on their way
    const auto list_before = [&] {
      if (before.empty()) return;
      const std::uint32_t most = limit();
      for (const Place& group : before)
        each_leaf(group, most, [&](const Box& leaf) { near.push_back(leaf); });
    };
    for (std::size_t piece; turn.next(&piece);) {
      groups.clear();
      each_group(piece, limit(), [&](const Box& group) {
        fetch_boxes(group.place);
        groups.push_back(group.place);
      });
      list_before();
      before.swap(groups);
    }
    list_before();
    if (!near.empty()) lots_[share].leaves = in_order(near);
  }
  const Phase& listing() const { return listing_; }
  // How many, when all are listed.
  std::size_t leaves() const {
    std::size_t n = 0;
    for (const Lot& lot : lots_) n += lot.leaves.size();
    return n;
  }

  // Of all that follows up to leave(): has no pieces, only turns to be waited for.
  Phase& reading() { return reading_; }
  // And read: use(leaves, begin, end), some of a lot at a time, the own first.
  template <class Use>
  void take(std::size_t share, const Use& use) {
    for (std::size_t i = 0; i < lots_.size(); ++i) {
      Lot& lot = lots_[(share + i) % lots_.size()];
      const std::size_t n = lot.leaves.size();
      for (std::size_t begin; (begin = lot.next.fetch_add(kAtOnce)) < n;)
        use(lot.leaves, begin, std::min(n, begin + kAtOnce));
    }
  }

  // What is left of the rows of a share, still in its turn.
  void leave(std::size_t share, std::vector<Candidate> rows) {
    lots_[share].rows = std::move(rows);
    lots_[share].has_rows = true;
  }
  // At last, when reading() is done, all look at all that is left: use(rows, begin, end), false if
  // those behind cannot be near.
  template <class Use>
  void finish(std::size_t share, const Use& use) {
    for (std::size_t i = 0; i < lots_.size(); ++i) {
      Lot& lot = lots_[(share + i) % lots_.size()];
      if (!lot.has_rows) continue;  // a thread that came late looks at its own
      const std::size_t n = lot.rows.size();
      for (std::size_t begin; (begin = lot.next_row.fetch_add(Left::kTogether)) < n;)
        if (!use(lot.rows, begin, std::min(n, begin + Left::kTogether))) lot.next_row = n;
    }
  }

 private:
  static constexpr std::size_t kBoundedAtOnce = 16, kListedAtOnce = 4;
  static constexpr std::size_t kGroups = Parts::kTreeBlock / kGroupRows;
  static constexpr std::size_t kAtOnce = 8;

  struct alignas(kLine) Lot {  // threads that write into one line wait for it
    std::vector<Box> leaves;
    std::vector<Candidate> rows;
    std::atomic<std::size_t> next{0}, next_row{0};
    std::atomic<bool> has_rows{false};
  };
  // The few nearest of many boxes.
  class Nearest {
   public:
    explicit Nearest(std::size_t wanted) : wanted_(wanted) {}
    // None farther gets in.
    std::uint32_t most() const { return most_; }
    void add(const Box& box) {
      if (box.bound > most_) return;
      boxes_.push_back(box);
      if (boxes_.size() >= 4 * wanted_) shorten();
    }
    std::vector<Place> take() {
      shorten();
      std::vector<Place> places;
      for (const Box& box : boxes_) places.push_back(box.place);
      return places;
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

  // Of many pieces a third, if these hold enough of the rows; a full tree has 16, so that they are
  // not at the same places in all.
  static std::size_t step_of_sample(const Parts& parts) {
    constexpr std::size_t kManyPieces = 96, kStep = 3, kLeastShare = 4;
    if (parts.tree_blocks() < kManyPieces) return 1;
    std::size_t rows = 0;
    for (std::size_t piece = 0; piece < parts.tree_blocks(); piece += kStep)
      rows += parts.block_rows(piece);
    return rows >= parts.rows_in_trees() / kLeastShare ? kStep : 1;
  }
  void bound_groups(std::size_t piece) {
    std::uint16_t* bounds = &bounds_[piece * kGroups];
    for (std::size_t at = 0; at < parts_.block_rows(piece); at += kBlockRows) {
      const Place first = place(piece, at / kGroupRows);
      kernels().box_bounds(parts_.tree(first.part).groups_of(first.at / kBlockRows),
                           query_.above.data(), query_.below.data(), bounds + at / kGroupRows);
    }
    least_[piece] = *std::min_element(bounds, bounds + groups_of(piece));
  }
  Place place(std::size_t piece, std::size_t group) const {
    const Place begin = parts_.block(piece);
    return {begin.part, begin.at + static_cast<std::uint32_t>(group * kGroupRows)};
  }
  std::size_t groups_of(std::size_t piece) const {
    return Parts::Tree::group_count(parts_.block_rows(piece));
  }
  // use(group) of those of a piece within `limit`.
  template <class Use>
  void each_group(std::size_t piece, std::uint32_t limit, const Use& use) const {
    if (least_[piece] > limit) return;
    const std::uint16_t* bounds = &bounds_[piece * kGroups];
    for (std::size_t i = 0; i < groups_of(piece); ++i)
      if (bounds[i] <= limit) use(Box{bounds[i], place(piece, i)});
  }
  void fetch_boxes(Place group) const {
    prefetch(parts_.tree(group.part).leaves_of(group.at / kGroupRows), kBoxesBytes);
  }
  template <class Use>
  void each_leaf(Place group, std::uint32_t limit, const Use& use) const {
    near_leaves(parts_.tree(group.part), parts_.masses(group.part).rows, group.at / kGroupRows,
                query_, limit, [&](std::size_t leaf, std::uint32_t bound) {
                  use(Box{bound, {group.part, static_cast<std::uint32_t>(leaf * kLeafRows)}});
                });
  }

  // Nearest first, roughly: by at most 256 steps of the bound.
  static std::vector<Box> in_order(const std::vector<Box>& near) {
    std::uint32_t most = 0;
    for (const Box& leaf : near) most = std::max(most, leaf.bound);
    constexpr std::uint32_t kSteps = 256;
    int shift = 0;
    while (most >> shift >= kSteps) ++shift;
    std::array<std::size_t, kSteps + 1> ends{};
    for (const Box& leaf : near) ++ends[(leaf.bound >> shift) + 1];
    for (std::size_t i = 1; i < kSteps; ++i) ends[i] += ends[i - 1];
    std::vector<Box> sorted(near.size());
    for (const Box& leaf : near) sorted[ends[leaf.bound >> shift]++] = leaf;
    return sorted;
  }

  const Parts& parts_;
  const CoarseParts query_;
  const std::size_t step_, sampled_;  // from a piece of the sample to the next; how many
  Phase bounding_, seeding_{1}, listing_, reading_{0};
  std::vector<std::uint16_t> bounds_, least_;  // of the groups of each piece, and the least of them
  std::vector<Place> seeds_;                   // ascending
  std::vector<Lot> lots_;
};

}  // namespace imgsim::coded
