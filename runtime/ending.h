// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"

namespace quoll::runtime {

// The end of one container, as those who stop it see it: when patience ends,
// and whether it has ended. Not durable; one per container of the table.
// Thread-safe.
class Ending {
 public:
  // The earliest time that anybody asked for is the one that counts.
  void KillBy(absl::Time when) {
    absl::MutexLock lock(&mutex_);
    kill_at_ = std::min(kill_at_, when);
    changed_.SignalAll();
  }

  // Its exit is durable and visible.
  void MarkEnded() {
    absl::MutexLock lock(&mutex_);
    ended_ = true;
    changed_.SignalAll();
  }

  // The daemon stops: nobody waits any longer.
  void Interrupt() {
    absl::MutexLock lock(&mutex_);
    interrupted_ = true;
    changed_.SignalAll();
  }

  bool MustKillNow() const {
    absl::MutexLock lock(&mutex_);
    return kill_at_ <= absl::Now();
  }

  enum class Outcome { kEnded, kTimeIsUp, kInterrupted };

  // Until it has ended or must be killed; KillBy() shortens a wait that runs.
  Outcome AwaitKillTime() {
    absl::MutexLock lock(&mutex_);
    while (!ended_ && !interrupted_ && kill_at_ > absl::Now()) {
      changed_.WaitWithDeadline(&mutex_, kill_at_);
    }
    return Now();
  }

  Outcome Await(absl::Time deadline) {
    absl::MutexLock lock(&mutex_);
    while (!ended_ && !interrupted_ && deadline > absl::Now()) {
      changed_.WaitWithDeadline(&mutex_, deadline);
    }
    return Now();
  }

 private:
  Outcome Now() const ABSL_SHARED_LOCKS_REQUIRED(mutex_) {
    if (ended_) {
      return Outcome::kEnded;
    }
    return interrupted_ ? Outcome::kInterrupted : Outcome::kTimeIsUp;
  }

  mutable absl::Mutex mutex_;
  absl::CondVar changed_;
  absl::Time kill_at_ ABSL_GUARDED_BY(mutex_) = absl::InfiniteFuture();
  bool ended_ ABSL_GUARDED_BY(mutex_) = false;
  bool interrupted_ ABSL_GUARDED_BY(mutex_) = false;
};

}  // namespace quoll::runtime
