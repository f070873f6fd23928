// SPDX-License-Identifier: Apache-2.0
#include "image/waiting.h"

#include "absl/time/clock.h"

#include "os/status_macros.h"

namespace quoll::image {

absl::Status CheckCall(const os::Call& call) {
  if (call.IsCancelled()) {
    return absl::CancelledError("cancelled by the caller");
  }
  if (absl::Now() >= call.deadline) {
    return absl::DeadlineExceededError("the deadline of the call has passed");
  }
  return absl::OkStatus();
}

absl::StatusOr<os::KeyedMutex::Lock> AcquireFor(os::KeyedMutex& mutex,
                                                absl::string_view key,
                                                const os::Call& call) {
  while (true) {
    QUOLL_RETURN_IF_ERROR(CheckCall(call));
    absl::StatusOr<os::KeyedMutex::Lock> lock =
        mutex.Acquire(key, call.DeadlineWithin(kCancelTick));
    if (lock.ok() || !absl::IsDeadlineExceeded(lock.status())) {
      return lock;
    }
  }
}

}  // namespace quoll::image
