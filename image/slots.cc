// SPDX-License-Identifier: Apache-2.0
#include "image/slots.h"

#include "image/waiting.h"
#include "os/status_macros.h"

namespace quoll::image {

absl::Status Slots::Slot::Acquire(const os::Call& call) {
  absl::MutexLock lock(&owner_->mutex_);
  const auto any_free = [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(owner_->mutex_) {
    return owner_->free_ > 0;
  };
  do {
    QUOLL_RETURN_IF_ERROR(CheckCall(call));
  } while (!owner_->mutex_.AwaitWithDeadline(absl::Condition(&any_free),
                                             call.DeadlineWithin(kCancelTick)));
  --owner_->free_;
  status_ = absl::OkStatus();
  return status_;
}

}  // namespace quoll::image
