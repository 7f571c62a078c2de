#include "worker_pool.hpp"

#include <algorithm>
#include <utility>

#if defined(__unix__) || defined(__APPLE__)
#include <pthread.h>
#include <signal.h>
#define IMGSIM_POSIX_THREADS 1
#endif

namespace imgsim {
namespace {

// Signals to the process are for the threads of its owner: one that a sleeping worker took would
// not wake them. Those of errors stay where they are made.
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

Worker::Worker() {
  const NoSignals here;  // a new thread has the mask of the one that starts it
  thread_ = std::thread([this] { work(); });
}

Worker::~Worker() {
  {
    const std::lock_guard<std::mutex> hold(waiting_);
    ends_ = true;
  }
  woken_.notify_one();
  thread_.join();
}

void Worker::start(Job* job) {
  {
    const std::lock_guard<std::mutex> hold(waiting_);
    job_ = job;
  }
  woken_.notify_one();
}

void Worker::work() {
  std::unique_lock<std::mutex> hold(waiting_);
  while (true) {
    woken_.wait(hold, [this] { return job_ != nullptr || ends_; });
    if (job_ == nullptr) return;
    Job* const job = std::exchange(job_, nullptr);
    hold.unlock();
    job->run();
    hold.lock();
  }
}

WorkerPool::WorkerPool() : most_(std::max(1U, std::thread::hardware_concurrency())) {
  idle_.reserve(most_);
#if defined(IMGSIM_POSIX_THREADS)
  pthread_atfork(before_fork, after_fork, after_fork);
#endif
}

// Made when the library is loaded, so that no fork() can find it half made, and never destroyed:
// threads that outlive main() may still use it.
WorkerPool* const WorkerPool::of_process_ = new WorkerPool;

std::unique_ptr<Worker> WorkerPool::borrow() {
  {
    const std::lock_guard<std::mutex> hold(choosing_);
    if (!idle_.empty()) {
      std::unique_ptr<Worker> worker = std::move(idle_.back());
      idle_.pop_back();
      return worker;
    }
  }
  return std::make_unique<Worker>();
}

void WorkerPool::give_back(std::vector<std::unique_ptr<Worker>> workers) noexcept {
  const std::lock_guard<std::mutex> hold(choosing_);
  while (!workers.empty() && idle_.size() < most_) {
    idle_.push_back(std::move(workers.back()));
    workers.pop_back();
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
