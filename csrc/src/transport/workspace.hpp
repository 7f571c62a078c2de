// Memory for one problem, kept for the next: pointers are handed out one after the other and all
// given back at once. Small problems fit into the object itself.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <new>
#include <vector>

namespace imgsim {

class Workspace {
 public:
  // Takes back everything. What did not fit into one piece will fit the next time, unless there is
  // no memory for that: the next problem may be smaller.
  void clear() {
    if (pieces_.size() > 1) {
      const std::size_t all = bytes();
      pieces_.clear();
      try {
        add(all);
      } catch (const std::bad_alloc&) {
      }
    }
    if (pieces_.empty())
      use(inside_, sizeof inside_);
    else
      use(pieces_.front().data.get(), pieces_.front().bytes);
  }

  // On the heap.
  std::size_t bytes() const {
    std::size_t all = 0;
    for (const Piece& piece : pieces_) all += piece.bytes;
    return all;
  }

  // `count` uninitialised values, aligned to 64 bytes.
  template <class T>
  T* take(std::size_t count) {
    if (count > (SIZE_MAX >> 1) / sizeof(T)) throw std::bad_alloc();
    const std::size_t bytes = (count * sizeof(T) + 63) & ~std::size_t{63};
    if (bytes > static_cast<std::size_t>(end_ - next_)) {
      add(std::max(bytes, std::min(kLargestStep, 2 * last_)));
      use(pieces_.back().data.get(), pieces_.back().bytes);
    }
    T* taken = reinterpret_cast<T*>(next_);
    next_ += bytes;
    return taken;
  }

  template <class T>
  T* take_filled(std::size_t count, T value) {
    T* taken = take<T>(count);
    std::fill_n(taken, count, value);
    return taken;
  }

 private:
  static constexpr std::size_t kLargestStep = std::size_t{1} << 20;

  struct Aligned {
    void operator()(unsigned char* data) const { ::operator delete[](data, std::align_val_t{64}); }
  };
  struct Piece {
    std::unique_ptr<unsigned char[], Aligned> data;
    std::size_t bytes;
  };

  void add(std::size_t bytes) {
    pieces_.reserve(pieces_.size() + 1);
    auto* data = static_cast<unsigned char*>(::operator new[](bytes, std::align_val_t{64}));
    pieces_.push_back({std::unique_ptr<unsigned char[], Aligned>(data), bytes});
  }
  void use(unsigned char* data, std::size_t bytes) {
    next_ = data;
    end_ = data + bytes;
    last_ = bytes;
  }

  alignas(64) unsigned char inside_[16384];
  unsigned char* next_ = inside_;
  unsigned char* end_ = inside_ + sizeof inside_;
  std::size_t last_ = sizeof inside_;
  std::vector<Piece> pieces_;
};

}  // namespace imgsim
