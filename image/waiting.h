// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"

#include "os/call.h"
#include "os/keyed_mutex.h"

namespace quoll::image {

// A cancellation can only be asked for, so whoever blocks looks up this often.
inline constexpr absl::Duration kCancelTick = absl::Milliseconds(100);

// Cancelled or DeadlineExceeded when the caller waits no longer.
absl::Status CheckCall(const os::Call& call);

// KeyedMutex::Acquire that also notices a cancellation.
absl::StatusOr<os::KeyedMutex::Lock> AcquireFor(os::KeyedMutex& mutex,
                                                absl::string_view key,
                                                const os::Call& call);

}  // namespace quoll::image
