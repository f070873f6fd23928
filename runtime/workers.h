// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <functional>
#include <list>
#include <map>
#include <queue>
#include <thread>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"

namespace quoll::runtime {

// Threads on which work goes on after the thread that asked for it has left
// (gRPC's come and go). Threads are started when needed, reused, and end after
// a while without work, so an idle daemon has none. Each task logs with the
// request id of the thread that queued it. Thread-safe.
class Workers {
 public:
  explicit Workers(size_t max_threads) : max_threads_(max_threads) {}
  // Drops what RunAfter() still holds back, finishes everything else.
  ~Workers();
  Workers(const Workers&) = delete;
  Workers& operator=(const Workers&) = delete;

  // False, and nothing done, after Shutdown().
  bool Run(std::function<void()> task);
  void RunAfter(absl::Duration delay, std::function<void()> task);

  // As the destructor.
  void Shutdown();

 private:
  using Threads = std::list<std::thread>;
  void Loop(Threads::iterator self);
  void StartThreadWhenNeeded() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void QueueWhatIsDue() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const size_t max_threads_;
  absl::Mutex mutex_;
  absl::CondVar wake_;
  std::queue<std::function<void()>> queue_ ABSL_GUARDED_BY(mutex_);
  std::multimap<absl::Time, std::function<void()>> later_
      ABSL_GUARDED_BY(mutex_);
  Threads threads_ ABSL_GUARDED_BY(mutex_);
  Threads ended_ ABSL_GUARDED_BY(mutex_);  // to be joined
  size_t idle_ ABSL_GUARDED_BY(mutex_) = 0;
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
};

// Calls `work` with 0..count-1, at most `parallel` at once, and returns when
// all have returned. Must not be called by a task of a pool that may be full of
// such callers.
void ForEachParallel(Workers& workers, size_t count, size_t parallel,
                     const std::function<void(size_t)>& work);

}  // namespace quoll::runtime
