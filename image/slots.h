// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"

#include "os/call.h"

namespace quoll::image {

// A counting semaphore whose waiters can give up. Thread-safe.
class Slots {
 public:
  explicit Slots(int count) : free_(count) {}

  // One slot, given back at the end of its scope.
  class Slot {
   public:
    explicit Slot(Slots* owner) : owner_(owner) {}
    Slot(const Slot&) = delete;
    Slot& operator=(const Slot&) = delete;
    ~Slot() {
      if (status_.ok()) {
        absl::MutexLock lock(&owner_->mutex_);
        ++owner_->free_;
      }
    }
    // Blocks. Cancelled or DeadlineExceeded as the call says.
    absl::Status Acquire(const os::Call& call);

   private:
    Slots* owner_;
    absl::Status status_ = absl::FailedPreconditionError("not acquired");
  };

 private:
  absl::Mutex mutex_;
  int free_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace quoll::image
