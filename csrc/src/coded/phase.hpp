// Work in phases, each begun by a thread when all of the one before is done.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstddef>

namespace imgsim::coded {

// Pieces of work that threads share, each by a Turn that ends when none is left: so many in a row
// at once, because threads that count in the same place all the time wait for each other.
class Phase {
 public:
  explicit Phase(std::size_t pieces, std::size_t at_once = 1)
      : pieces_(pieces), at_once_(at_once) {}

  class Turn {
   public:
    explicit Turn(Phase* phase) : phase_(*phase) { ++phase_.busy_; }
    ~Turn() { --phase_.busy_; }  // after an error, too: others wait
    Turn(const Turn&) = delete;
    Turn& operator=(const Turn&) = delete;
    bool next(std::size_t* piece) {
      if (next_ == end_) {
        next_ = std::min(phase_.next_.fetch_add(phase_.at_once_), phase_.pieces_);
        end_ = std::min(next_ + phase_.at_once_, phase_.pieces_);
      }
      *piece = next_;
      if (next_ == end_) return false;
      ++next_;
      return true;
    }

   private:
    Phase& phase_;
    std::size_t next_ = 0, end_ = 0;
  };
  // To be asked after a turn: whether those of the others have ended.
  bool is_done() const { return busy_ == 0; }

 private:
  const std::size_t pieces_, at_once_;
  std::atomic<std::size_t> next_{0}, busy_{0};
};

}  // namespace imgsim::coded
