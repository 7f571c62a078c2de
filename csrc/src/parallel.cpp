#include "imgsim/parallel.hpp"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdlib>
#include <exception>
#include <memory>
#include <mutex>
#include <new>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

#include "worker_pool.hpp"

namespace imgsim {
namespace {

std::atomic<double> thread_worth{2.5e5};  // nanoseconds
constexpr std::size_t kRoomOfState = 16384;
constexpr auto kAwake = std::chrono::microseconds(100);
constexpr auto kPollInterval = std::chrono::milliseconds(20);

class Crew final : public Job {
 public:
  Crew(std::size_t items, std::size_t grain, const Cancel& cancel,
       const std::function<void(std::size_t, std::size_t)>& body)
      : items_(items), grain_(grain), cancel_(cancel), body_(body) {}

  void run() noexcept override {
    // The first exception of a thread takes memory for its state, and the C library ends the
    // process if there is none. So it is taken now; without it the others do the work.
    void* const room = std::malloc(kRoomOfState);
    if (room != nullptr) {
      std::free(room);
      static_cast<void>(std::uncaught_exceptions());
      work(false);
    }
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
  // look at what asking has changed, and end early.
  void wait() {
    // They are mostly about to end: to sleep and be woken takes longer.
    const auto soon = std::chrono::steady_clock::now() + kAwake;
    std::unique_lock<std::mutex> hold(waiting_, std::defer_lock);
    while ((helping_ != 0 || !hold.try_lock()) && std::chrono::steady_clock::now() < soon)
      std::this_thread::yield();
    if (!hold) hold.lock();
    // Having the lock means also that the last of them has let go of it, and of this object.
    while (!done_.wait_for(hold, kPollInterval, [this] { return helping_ == 0; })) {
      if (cancel_.poll == nullptr || cancelled_) continue;
      hold.unlock();
      if (cancel_.poll(cancel_.context)) {
        cancelled_ = true;
        stop_.store(true, std::memory_order_relaxed);
      }
      hold.lock();
    }
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
  std::vector<std::unique_ptr<Worker>> helpers;
  // Without memory or with a system that gives no more threads, those that run do all the work: an
  // exception from here would leave the others alone with the crew.
  try {
    helpers.reserve(std::min(threads, ranges));
    for (std::size_t i = 1; i < std::min(threads, ranges); ++i) {
      helpers.push_back(WorkerPool::of_process().borrow());
      crew.expect();
      helpers.back()->start(&crew);
    }
  } catch (const std::system_error&) {
  } catch (const std::bad_alloc&) {
  }
  crew.work(true);
  if (!helpers.empty()) {
    crew.wait();
    WorkerPool::of_process().give_back(std::move(helpers));
  }
  return crew.finish();
}

}  // namespace imgsim
