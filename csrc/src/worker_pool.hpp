// Threads that sleep between calls: to wake one takes half of what starting and joining it takes,
// and where the next call comes at once nothing, because they wait for it awake.
#pragma once

#include <atomic>
#include <cfenv>
#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#if defined(__linux__)
#include <sched.h>
#endif

namespace imgsim {

// What a new thread takes over from the one that starts it, and what a worker therefore must have
// in common with its caller: the processors it may use, and how urgent it is. Nothing, where the
// system does not tell.
class Standing {
 public:
  static Standing of_this_thread();
  // How many it may use.
  std::size_t processors() const;
  friend bool operator==(const Standing& x, const Standing& y);

 private:
#if defined(__linux__)
  cpu_set_t processors_;
  int policy_, niceness_;
#endif
};

// What a thread of the pool does.
struct Job {
  virtual void run() noexcept = 0;

 protected:
  ~Job() = default;
};

// A thread that does one job after the other. Whoever has the object decides which.
class Worker {
 public:
  // To be called by a thread of that standing. std::system_error: there are no more threads;
  // std::bad_alloc: nor memory for the state that an exception in one takes.
  explicit Worker(const Standing& standing);
  ~Worker();  // its job must have begun: it ends after it
  Worker(const Worker&) = delete;
  Worker& operator=(const Worker&) = delete;

  // It must have done, or be about to end, the job before. Computes as the calling thread does, as
  // to rounding and tiny numbers. stays_awake: after the job, for a little while, because there are
  // processors enough.
  void start(Job* job, bool stays_awake);
  const Standing& standing() const { return standing_; }

 private:
  void ask();
  void work();
  bool await_call(std::chrono::microseconds patience) const;
  void sleep();

  std::mutex waiting_;
  std::condition_variable woken_;
  const Standing standing_;
  bool begins_ = true, can_throw_ = false;  // guarded by `waiting_`
  // What it is asked to do: written before `asked_` is set, read after; nullptr: to end.
  Job* job_ = nullptr;
  bool stays_awake_ = false;
  std::fenv_t mode_;
  std::atomic<bool> asked_{false}, sleeps_{false};
  std::thread thread_;
};

// The workers of the process that no call has borrowed. A child of fork() begins with none, and
// its parent has none while it forks: idle ones are ended before.
class WorkerPool {
 public:
  static WorkerPool& of_process() { return *of_process_; }

  // One that is idle, or a new one, of the calling thread's standing. std::bad_alloc;
  // std::system_error: there are no more threads.
  std::unique_ptr<Worker> borrow(const Standing& standing);
  // For later calls; where there are more than processors, the oldest are ended.
  void give_back(std::vector<std::unique_ptr<Worker>> workers) noexcept;

 private:
  WorkerPool();
  static void before_fork();
  static void after_fork();

  static WorkerPool* const of_process_;
  std::mutex choosing_;
  std::vector<std::unique_ptr<Worker>> idle_;  // the oldest first; has room for `most_`
  std::size_t most_;
};

}  // namespace imgsim
