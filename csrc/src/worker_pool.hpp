// Threads that sleep between calls: to wake one takes half of what starting and joining it takes.
#pragma once

#include <condition_variable>
#include <cstddef>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

namespace imgsim {

// What a thread of the pool does.
struct Job {
  virtual void run() noexcept = 0;

 protected:
  ~Job() = default;
};

// A thread that does one job after the other. Whoever has the object decides which.
class Worker {
 public:
  // std::system_error: the system gives no more threads.
  Worker();
  ~Worker();  // after its job
  Worker(const Worker&) = delete;
  Worker& operator=(const Worker&) = delete;

  // It must have done, or be about to end, the job before.
  void start(Job* job);

 private:
  void work();

  std::mutex waiting_;
  std::condition_variable woken_;
  Job* job_ = nullptr;
  bool ends_ = false;
  std::thread thread_;
};

// The workers of the process that no call has borrowed. A child of fork() begins with none, and
// its parent has none while it forks: idle ones are ended before.
class WorkerPool {
 public:
  static WorkerPool& of_process() { return *of_process_; }

  // One that is idle, or a new one. std::bad_alloc; std::system_error: there are no more threads.
  std::unique_ptr<Worker> borrow();
  // For later calls; more of them than there are processors are ended.
  void give_back(std::vector<std::unique_ptr<Worker>> workers) noexcept;

 private:
  WorkerPool();
  static void before_fork();
  static void after_fork();

  static WorkerPool* const of_process_;
  std::mutex choosing_;
  std::vector<std::unique_ptr<Worker>> idle_;  // has room for `most_`
  std::size_t most_;
};

}  // namespace imgsim
