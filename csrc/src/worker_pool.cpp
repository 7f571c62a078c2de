#include "worker_pool.hpp"

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <exception>
#include <new>
#include <utility>

#include "patience.hpp"

#if defined(__unix__) || defined(__APPLE__)
#include <pthread.h>
#include <signal.h>
#define IMGSIM_POSIX_THREADS 1
#endif

#if defined(__linux__)
#include <sys/resource.h>
#endif

namespace imgsim {
namespace {

using Clock = std::chrono::steady_clock;
// After a job, as calls often come one after the other: to be woken takes 50 to 100 us. The longer
// time where the last call came within it.
constexpr std::chrono::microseconds kAwake{100}, kLongAwake{2000};
// Of not running, in that time: others want the processor. A tick of the system takes less.
constexpr std::chrono::microseconds kPushedAside{200};
constexpr std::size_t kRoomOfState = 16384;

// The first exception of a thread takes memory for its state, and the C library ends the process
// if there is none. So it is taken before anything can throw. False: there is none.
bool take_room_of_state() {
  void* const room = std::malloc(kRoomOfState);
  if (room == nullptr) return false;
  std::free(room);
  return std::uncaught_exceptions() == 0;  // to be used: a call that is not may be left out
}

// Signals to the process are for the threads of its owner: whoever waits for one would sleep on if
// a worker took it. Those that say an error stay with the thread that makes it.
class NoSignals {
 public:
#if defined(IMGSIM_POSIX_THREADS)
  NoSignals() {
    sigset_t most;
    sigfillset(&most);
    for (const int error : {SIGABRT, SIGBUS, SIGFPE, SIGILL, SIGSEGV, SIGSYS, SIGTRAP})
      sigdelset(&most, error);
    pthread_sigmask(SIG_BLOCK, &most, &before_);
  }
  ~NoSignals() { pthread_sigmask(SIG_SETMASK, &before_, nullptr); }

 private:
  sigset_t before_;
#else
  NoSignals() {}
#endif
 public:
  NoSignals(const NoSignals&) = delete;
  NoSignals& operator=(const NoSignals&) = delete;
};

}  // namespace

Standing Standing::of_this_thread() {
  Standing standing;
#if defined(__linux__)
  CPU_ZERO(&standing.processors_);
  sched_getaffinity(0, sizeof standing.processors_, &standing.processors_);
  standing.policy_ = sched_getscheduler(0);
  standing.niceness_ = getpriority(PRIO_PROCESS, 0);
#endif
  return standing;
}

std::size_t Standing::processors() const {
#if defined(__linux__)
  return static_cast<std::size_t>(CPU_COUNT(&processors_));
#else
  return std::thread::hardware_concurrency();
#endif
}

bool operator==(const Standing& x, const Standing& y) {
#if defined(__linux__)
  return CPU_EQUAL(&x.processors_, &y.processors_) && x.policy_ == y.policy_ &&
         x.niceness_ == y.niceness_;
#else
  return static_cast<void>(x), static_cast<void>(y), true;
#endif
}

Worker::Worker(const Standing& standing) : standing_(standing) {
  const NoSignals here;  // a new thread has the mask of the one that starts it
  thread_ = std::thread([this] { work(); });
  std::unique_lock<std::mutex> hold(waiting_);
  woken_.wait(hold, [this] { return !begins_; });
  if (can_throw_) return;
  hold.unlock();
  thread_.join();
  throw std::bad_alloc();
}

Worker::~Worker() {
  job_ = nullptr;
  ask();
  thread_.join();
}

void Worker::start(Job* job, bool stays_awake) {
  std::fegetenv(&mode_);
  job_ = job;
  stays_awake_ = stays_awake;
  ask();
}

// Either this thread sees that the worker sleeps, or the worker, before it sleeps, that it is
// asked.
void Worker::ask() {
  asked_ = true;
  if (!sleeps_) return;
  {
    const std::lock_guard<std::mutex> hold(waiting_);
  }
  woken_.notify_one();
}

void Worker::work() {
  const bool can_throw = take_room_of_state();
  {
    const std::lock_guard<std::mutex> hold(waiting_);
    begins_ = false;
    can_throw_ = can_throw;
    woken_.notify_one();  // the thread that made this one
  }
  if (!can_throw) return;
  bool stays_awake = false;
  for (auto patience = kAwake;;) {
    const auto done = Clock::now();
    if (!stays_awake || !await_call(patience)) sleep();
    const bool was_soon = stays_awake && Clock::now() - done < kLongAwake;
    patience = was_soon ? kLongAwake : kAwake;
    asked_ = false;
    Job* const job = job_;
    if (job == nullptr) return;
    stays_awake = stays_awake_;
    std::fesetenv(&mode_);
    job->run();
  }
}

// Awake, but not for longer than that; false: then it has not come. Without yielding: where others
// want the processor, that would put it behind all of them.
bool Worker::await_call(std::chrono::microseconds patience) const {
  auto last = Clock::now();
  for (const auto soon = last + patience; !asked_.load(std::memory_order_acquire);) {
    relax();
    const auto now = Clock::now();
    if (now > soon || now - last > kPushedAside) return false;
    last = now;
  }
  return true;
}

// Until it is asked.
void Worker::sleep() {
  std::unique_lock<std::mutex> hold(waiting_);
  sleeps_ = true;
  woken_.wait(hold, [this] { return asked_.load(); });
  sleeps_ = false;
}

WorkerPool::WorkerPool() : most_(std::max(1U, std::thread::hardware_concurrency())) {
  idle_.reserve(most_);
#if defined(IMGSIM_POSIX_THREADS)
  if (pthread_atfork(before_fork, after_fork, after_fork) != 0) most_ = 0;
#endif
}

// Made when the library is loaded, so that no fork() can find it half made, and never destroyed:
// threads that outlive main() may still use it.
WorkerPool* const WorkerPool::of_process_ = new WorkerPool;

std::unique_ptr<Worker> WorkerPool::borrow(const Standing& standing) {
  {
    const std::lock_guard<std::mutex> hold(choosing_);
    for (auto one = idle_.end(); one != idle_.begin();) {
      if (!((*--one)->standing() == standing)) continue;
      std::unique_ptr<Worker> worker = std::move(*one);
      idle_.erase(one);
      return worker;
    }
  }
  return std::make_unique<Worker>(standing);
}

void WorkerPool::give_back(std::vector<std::unique_ptr<Worker>> workers) noexcept {
  const std::lock_guard<std::mutex> hold(choosing_);
  // Those that are left in `workers` end when the lock is gone.
  for (std::unique_ptr<Worker>& worker : workers) {
    if (most_ == 0) return;
    if (idle_.size() < most_) {
      idle_.push_back(std::move(worker));
      continue;
    }
    std::rotate(idle_.begin(), idle_.begin() + 1, idle_.end());
    idle_.back().swap(worker);
  }
}

void WorkerPool::before_fork() {
  of_process_->choosing_.lock();
  of_process_->idle_.clear();
}

void WorkerPool::after_fork() {
  of_process_->choosing_.unlock();
}

}  // namespace imgsim
