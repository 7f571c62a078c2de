// Work in phases, each begun by a thread when all of the one before is done.
#pragma once

#include <atomic>
#include <cstddef>

namespace imgsim::coded {

// Pieces of work that threads share, each by a Turn that ends when none is left.
class Phase {
 public:
  explicit Phase(std::size_t pieces) : pieces_(pieces) {}

  class Turn {
   public:
    explicit Turn(Phase* phase) : phase_(*phase) { ++phase_.busy_; }
    ~Turn() { --phase_.busy_; }  // after an error, too: others wait
    Turn(const Turn&) = delete;
    Turn& operator=(const Turn&) = delete;
    bool next(std::size_t* piece) { return (*piece = phase_.next_++) < phase_.pieces_; }

   private:
    Phase& phase_;
  };
  std::size_t pieces() const { return pieces_; }
  // To be asked after a turn: whether those of the others have ended.
  bool is_done() const { return busy_ == 0; }

 private:
  const std::size_t pieces_;
  std::atomic<std::size_t> next_{0}, busy_{0};
};

}  // namespace imgsim::coded
