// SPDX-License-Identifier: Apache-2.0
#include "runtime/workers.h"

#include <algorithm>
#include <atomic>
#include <system_error>
#include <utility>

#include "absl/synchronization/blocking_counter.h"
#include "absl/time/clock.h"

#include "os/log.h"

namespace quoll::runtime {
namespace {

constexpr absl::Duration kIdleLife = absl::Seconds(10);

std::function<void()> WithRequestId(std::function<void()> task) {
  return [id = os::CurrentRequestId(), task = std::move(task)] {
    const os::LogRequestScope scope(id);
    task();
  };
}

}  // namespace

Workers::~Workers() {
  Shutdown();
}

void Workers::Shutdown() {
  // A task may queue another one, which may need a new thread: repeat until
  // there is none.
  while (true) {
    Threads threads;
    {
      absl::MutexLock lock(&mutex_);
      stopping_ = true;
      later_.clear();
      wake_.SignalAll();
      const auto no_threads = [this]() ABSL_SHARED_LOCKS_REQUIRED(mutex_) {
        return threads_.empty();
      };
      mutex_.Await(absl::Condition(&no_threads));
      threads.swap(ended_);
    }
    if (threads.empty()) {
      return;
    }
    for (std::thread& thread : threads) {
      thread.join();
    }
  }
}

bool Workers::Run(std::function<void()> task) {
  Threads ended;
  {
    absl::MutexLock lock(&mutex_);
    if (stopping_ && threads_.empty()) {
      return false;
    }
    queue_.push(WithRequestId(std::move(task)));
    StartThreadWhenNeeded();
    ended.swap(ended_);
  }
  for (std::thread& thread : ended) {
    thread.join();
  }
  return true;
}

void Workers::RunAfter(absl::Duration delay, std::function<void()> task) {
  absl::MutexLock lock(&mutex_);
  if (stopping_) {
    return;
  }
  later_.emplace(absl::Now() + delay, WithRequestId(std::move(task)));
  // Somebody has to look at the clock.
  StartThreadWhenNeeded();
}

void Workers::StartThreadWhenNeeded() {
  // A thread that was woken but does not run yet still counts as idle, and what
  // it was woken for as queued.
  const bool enough = idle_ > 0 && queue_.size() <= idle_;
  if (enough || threads_.size() >= max_threads_) {
    wake_.Signal();
    return;
  }
  const auto self = threads_.emplace(threads_.end());
  try {
    *self = std::thread([this, self] { Loop(self); });
  } catch (const std::system_error& error) {
    threads_.erase(self);
    spdlog::warn("cannot start a worker thread, work waits for another: {}",
                 error.what());
  }
}

void Workers::QueueWhatIsDue() {
  const absl::Time now = absl::Now();
  while (!later_.empty() && later_.begin()->first <= now) {
    queue_.push(std::move(later_.begin()->second));
    later_.erase(later_.begin());
  }
}

void Workers::Loop(Threads::iterator self) {
  absl::MutexLock lock(&mutex_);
  while (true) {
    QueueWhatIsDue();
    if (!queue_.empty()) {
      const std::function<void()> task = std::move(queue_.front());
      queue_.pop();
      mutex_.Unlock();
      task();
      mutex_.Lock();
      continue;
    }
    if (stopping_) {
      break;
    }
    const absl::Time until =
        later_.empty() ? absl::Now() + kIdleLife : later_.begin()->first;
    ++idle_;
    const bool timed_out = wake_.WaitWithDeadline(&mutex_, until);
    --idle_;
    if (timed_out && queue_.empty() && later_.empty()) {
      break;
    }
  }
  ended_.splice(ended_.end(), threads_, self);
}

void ForEachParallel(Workers& workers, size_t count, size_t parallel,
                     const std::function<void(size_t)>& work) {
  const size_t threads = std::min(count, parallel);
  if (threads <= 1) {
    for (size_t i = 0; i < count; ++i) {
      work(i);
    }
    return;
  }
  std::atomic<size_t> next = 0;
  absl::BlockingCounter running(static_cast<int>(threads));
  for (size_t t = 0; t < threads; ++t) {
    workers.Run([&] {
      for (size_t i = next++; i < count; i = next++) {
        work(i);
      }
      running.DecrementCount();
    });
  }
  running.Wait();
}

}  // namespace quoll::runtime
