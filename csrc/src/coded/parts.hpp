// The rows of a database in several parts, their codes, and exact distances to them.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <limits>
#include <vector>

#include "coded/prefetch.hpp"
#include "imgsim/code_tree.hpp"
#include "imgsim/coded_search.hpp"

namespace imgsim::coded {

// Where the code of a row is: place `at` of a part.
struct Place {
  std::uint32_t part, at;
  friend bool operator<(const Place& x, const Place& y) {
    return x.part != y.part ? x.part < y.part : x.at < y.at;
  }
};

// The parts of a database, and the codes of each.
class Parts {
 public:
  using Codes = CodeArrays<const std::uint8_t>;
  using Tree = CodeTree<const std::uint8_t>;

  // block: rows of a piece of work, where there is no tree.
  Parts(const std::vector<CodedRows>& rows, std::size_t block) : rows_(rows), block_(block) {
    std::size_t first = 0;
    for (const CodedRows& part : rows) {
      const std::size_t n = part.masses.rows;
      first_.push_back(first);
      codes_.push_back(Codes::in(part.codes, n));
      trees_.push_back(part.arranged ? Tree::in(part.codes, n) : Tree{});
      (part.arranged ? in_trees_ : in_order_) += n;
      first += n;
    }
    add_blocks(true, kTreeBlock);
    tree_blocks_ = blocks_.size();
    add_blocks(false, block);
  }
  std::size_t count() const { return rows_.size(); }
  bool is_tree(std::size_t part) const { return rows_[part].arranged; }
  std::size_t rows_in_trees() const { return in_trees_; }
  std::size_t rows_in_order() const { return in_order_; }
  const Codes& codes(std::size_t part) const { return codes_[part]; }
  const Tree& tree(std::size_t part) const { return trees_[part]; }
  const MassMatrix& masses(std::size_t part) const { return rows_[part].masses; }

  // Number in its part of the row at a place.
  std::size_t row(Place one) const {
    return is_tree(one.part) ? trees_[one.part].row(one.at) : one.at;
  }
  // Of a damaged tree the row may not be there.
  bool exists(Place one) const { return row(one) < masses(one.part).rows; }
  // Number in the whole database.
  std::size_t number(Place one) const { return first_[one.part] + row(one); }
  // What it is called.
  std::int64_t id(Place one) const {
    const std::int64_t* ids = rows_[one.part].ids;
    return ids != nullptr ? ids[row(one)] : static_cast<std::int64_t>(number(one));
  }
  bool skipped(Place one) const {
    const std::uint8_t* skip = rows_[one.part].skip;
    return skip != nullptr && skip[row(one)] != 0;
  }

  // Begins to read what bounds need that the scan does not.
  void fetch_code(Place one) const {
    prefetch(codes_[one.part].fine_of(one.at));
    prefetch(&codes_[one.part].spread(one.at));
  }
  // Begins to read which row it is.
  void fetch_number(Place one) const {
    if (is_tree(one.part)) prefetch(trees_[one.part].order + one.at * Tree::kNumber);
  }
  // The masses of a row, as they lie in memory.
  const std::uint8_t* row_data(Place one) const {
    const MassMatrix& all = masses(one.part);
    return static_cast<const std::uint8_t*>(all.data) + row(one) * all.stride * mass_bytes(one);
  }
  std::size_t row_bytes(Place one) const { return masses(one.part).cols * mass_bytes(one); }
  // Reads something of a row, or of the beginning of a long one.
  void touch_row(Place one) const {
    touch(row_data(one), std::min<std::size_t>(row_bytes(one), 1024));
  }

  // Pieces of work, those of trees first.
  std::size_t blocks() const { return blocks_.size(); }
  std::size_t tree_blocks() const { return tree_blocks_; }
  // The most of a part without a tree.
  std::size_t most_block_rows() const { return block_; }
  Place block(std::size_t i) const { return blocks_[i]; }
  std::size_t block_rows(std::size_t i) const {
    const std::size_t step = i < tree_blocks_ ? kTreeBlock : block_;
    return std::min(step, masses(blocks_[i].part).rows - blocks_[i].at);
  }

  // Of a tree.
  std::size_t rows_of_leaf(std::size_t part, std::size_t begin) const {
    return std::min(kLeafRows, masses(part).rows - begin);
  }

  static constexpr std::size_t kTreeBlock = 4 * kBlockRows;

 private:
  std::size_t mass_bytes(Place one) const {
    return masses(one.part).type == MassMatrix::Type::f64 ? sizeof(double) : sizeof(std::uint32_t);
  }
  void add_blocks(bool of_trees, std::size_t step) {
    for (std::size_t part = 0; part < count(); ++part)
      for (std::size_t begin = 0; is_tree(part) == of_trees && begin < masses(part).rows;
           begin += step)
        blocks_.push_back({static_cast<std::uint32_t>(part), static_cast<std::uint32_t>(begin)});
  }

  const std::vector<CodedRows>& rows_;
  std::size_t block_, tree_blocks_ = 0, in_trees_ = 0, in_order_ = 0;
  std::vector<std::size_t> first_;
  std::vector<Codes> codes_;
  std::vector<Tree> trees_;
  std::vector<Place> blocks_;
};

// Exact distances to single rows.
class Exact {
 public:
  Exact(const Wasserstein1d& metric, const CdfMatrix& queries, const Parts& parts)
      : metric_(metric), queries_(queries), parts_(parts) {}

  // Infinity where the row is no distribution: bad_row() remembers the first of these.
  double distance(std::size_t query, Place one) {
    ++count_;
    if (is_last(query, one)) return last_distance_;
    last_ = nullptr;
    const std::size_t row = parts_.row(one);
    if (sums_.assign(parts_.masses(one.part), row, row + 1) != kNoBadRow) {
      bad_row_ = std::min(bad_row_, parts_.number(one));
      return std::numeric_limits<double>::infinity();
    }
    last_ = parts_.row_data(one);
    last_bytes_ = parts_.row_bytes(one);
    last_query_ = query;
    last_distance_ = metric_.between(queries_, query, sums_, 0);
    return last_distance_;
  }
  // Whether there is a row at a place: bad_part() remembers where not.
  bool exists(Place one) {
    if (parts_.exists(one)) return true;
    bad_part_ = std::min(bad_part_, std::size_t{one.part});
    return false;
  }

  CodedResult effort() const {
    CodedResult result;
    result.looked_at = count_;
    result.bad_row = bad_row_;
    result.bad_part = bad_part_;
    return result;
  }

 private:
  // Whether this row is the same as the last one. Of one that is there very often most come in
  // turn, as their bounds are equal.
  bool is_last(std::size_t query, Place one) const {
    return last_ != nullptr && query == last_query_ && parts_.row_bytes(one) == last_bytes_ &&
           std::memcmp(parts_.row_data(one), last_, last_bytes_) == 0;
  }

  const Wasserstein1d& metric_;
  const CdfMatrix& queries_;
  const Parts& parts_;
  CdfMatrix sums_;
  const std::uint8_t* last_ = nullptr;
  std::size_t last_bytes_ = 0, last_query_ = 0;
  double last_distance_ = 0.0;
  std::size_t bad_row_ = kNoBadRow, bad_part_ = kNoBadRow;
  std::uint64_t count_ = 0;
};

}  // namespace imgsim::coded
