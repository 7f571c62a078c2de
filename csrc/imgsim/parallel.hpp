// Threads of the library. Between calls they sleep, and before a fork() they are ended: it is safe
// between calls, and a child starts its own.
#pragma once

#include <cstddef>
#include <functional>

namespace imgsim {

// Asked on the calling thread about every 20 ms, also while it waits for others; returns true to
// stop the work early, and must do so in a child that it forks: the other threads are not there.
struct Cancel {
  bool (*poll)(void* context) = nullptr;
  void* context = nullptr;
};

// A number of this process, which a child does not have. 0 where there is no fork().
long this_process();

// Threads worth starting for `nanoseconds` of work in all: at least one, at most `threads`, about
// 0.25 ms each, because one begins some 50 us after it is woken.
std::size_t useful_threads(std::size_t threads, double nanoseconds);
// Makes that less, or more, for the whole process: tests share what is little. Returns what it was.
double set_thread_worth(double nanoseconds);

// Calls body(begin, end) over disjoint ranges of at most `grain` items that cover [0, items), on up
// to `threads` threads including the calling one. Which thread runs which range is not defined, so
// bodies write to places that depend on the item alone. The first exception thrown by a body is
// rethrown here after all threads have stopped. Where there is no memory for more threads, those
// that run do all the work. Returns false when `cancel` stopped the work.
bool parallel_for(std::size_t items, std::size_t grain, std::size_t threads, const Cancel& cancel,
                  const std::function<void(std::size_t begin, std::size_t end)>& body);

}  // namespace imgsim
