#include "imgsim/parallel.hpp"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <exception>
#include <memory>
#include <mutex>
#include <new>
#include <optional>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

#include "patience.hpp"
#include "worker_pool.hpp"

#if defined(__unix__) || defined(__APPLE__)
#include <unistd.h>
#endif

namespace imgsim {
namespace {

std::atomic<double> thread_worth{2.5e5};  // nanoseconds
constexpr auto kAwake = std::chrono::microseconds(100);
constexpr auto kPollInterval = std::chrono::milliseconds(20);

class Crew final : public Job {
 public:
  Crew(std::size_t items, std::size_t grain, const Cancel& cancel,
       const std::function<void(std::size_t, std::size_t)>& body)
      : items_(items), grain_(grain), cancel_(cancel), body_(body) {}

  void run() noexcept override {
    work(false);
    const std::lock_guard<std::mutex> hold(waiting_);
    --helping_;
    done_.notify_one();
  }
  // To be called for each thread before it starts to help.
  void expect() {
    const std::lock_guard<std::mutex> hold(waiting_);
    ++helping_;
  }

  // The calling thread has no more work: it goes on to ask until the others are done. A body may
  // look at what asking has changed, and end early. False: this is a child, forked while it asked,
  // and there are no others.
  bool wait() {
    if (this_process() != process_) return false;
    // They are mostly about to end: to sleep and be woken takes longer.
    const auto soon = std::chrono::steady_clock::now() + kAwake;
    std::unique_lock<std::mutex> hold(waiting_, std::defer_lock);
    for (Patience patience; helping_ != 0 || !hold.try_lock(); patience.wait())
      if (std::chrono::steady_clock::now() > soon) break;
    if (!hold) hold.lock();
    // Having the lock means also that the last of them has let go of it, and of this object.
    while (!done_.wait_for(hold, kPollInterval, [this] { return helping_ == 0; })) {
      if (cancel_.poll == nullptr || cancelled_) continue;
      hold.unlock();
      if (cancel_.poll(cancel_.context)) {
        cancelled_ = true;
        stop_.store(true, std::memory_order_relaxed);
        if (this_process() != process_) return false;
      }
      hold.lock();
    }
    return true;
  }

  void work(bool is_caller) noexcept {
    auto last_poll = std::chrono::steady_clock::now();
    while (!stop_.load(std::memory_order_relaxed)) {
      const std::size_t begin = next_.fetch_add(grain_, std::memory_order_relaxed);
      if (begin >= items_) return;
      try {
        body_(begin, std::min(begin + grain_, items_));
      } catch (...) {
        keep_first(std::current_exception());
        return;
      }
      if (is_caller && cancel_.poll != nullptr) {
        const auto now = std::chrono::steady_clock::now();
        if (now - last_poll >= kPollInterval) {
          last_poll = now;
          if (cancel_.poll(cancel_.context)) {
            cancelled_ = true;
            stop_.store(true, std::memory_order_relaxed);
          }
        }
      }
    }
  }

  bool finish() {
    if (error_) std::rethrow_exception(error_);
    return !cancelled_;
  }

 private:
  void keep_first(std::exception_ptr error) {
    const std::lock_guard<std::mutex> hold(error_mutex_);
    if (!error_) error_ = error;
    stop_.store(true, std::memory_order_relaxed);
  }

  const long process_ = this_process();
  const std::size_t items_;
  const std::size_t grain_;
  const Cancel& cancel_;
  const std::function<void(std::size_t, std::size_t)>& body_;
  std::atomic<std::size_t> next_{0};
  std::atomic<bool> stop_{false};
  bool cancelled_ = false;  // written by the calling thread only
  std::mutex waiting_;
  std::condition_variable done_;
  std::atomic<int> helping_{0};  // changed while `waiting_` is held
  std::mutex error_mutex_;
  std::exception_ptr error_;
};

}  // namespace

long this_process() {
#if defined(__unix__) || defined(__APPLE__)
  return getpid();
#else
  return 0;
#endif
}

std::size_t useful_threads(std::size_t threads, double nanoseconds) {
  const double worth = nanoseconds / thread_worth.load(std::memory_order_relaxed);
  if (worth < 2) return 1;
  return worth < static_cast<double>(threads) ? static_cast<std::size_t>(worth) : threads;
}

double set_thread_worth(double nanoseconds) {
  return thread_worth.exchange(nanoseconds);
}

bool parallel_for(std::size_t items, std::size_t grain, std::size_t threads, const Cancel& cancel,
                  const std::function<void(std::size_t, std::size_t)>& body) {
  grain = std::max<std::size_t>(grain, 1);
  const std::size_t ranges = items / grain + (items % grain != 0);
  Crew crew(items, grain, cancel, body);
  const std::size_t most = std::min(threads, ranges);
  std::vector<std::unique_ptr<Worker>> helpers;
  std::optional<Standing> standing;
  // Without memory or with a system that gives no more threads, those that run do all the work: an
  // exception from here would leave the others alone with the crew.
  try {
    helpers.reserve(most);
    if (most > 1) standing = Standing::of_this_thread();
    for (std::size_t i = 1; i < most; ++i)
      helpers.push_back(WorkerPool::of_process().borrow(*standing));
  } catch (const std::system_error&) {
  } catch (const std::bad_alloc&) {
  }
  // Not before all of them are there: while a thread begins, no other should take its memory.
  for (const std::unique_ptr<Worker>& helper : helpers) {
    crew.expect();
    helper->start(&crew, most <= standing->processors());
  }
  crew.work(true);
  if (!helpers.empty()) {
    if (crew.wait())
      WorkerPool::of_process().give_back(std::move(helpers));
    else
      for (std::unique_ptr<Worker>& helper : helpers) static_cast<void>(helper.release());
  }
  return crew.finish();
}

}  // namespace imgsim
