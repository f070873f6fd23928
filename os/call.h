// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <functional>

#include "absl/time/clock.h"
#include "absl/time/time.h"

namespace quoll::os {

// How long the caller of a blocking operation waits, and whether it still does.
// An operation that must not be left half done goes on after the caller has
// gone; this only says when to stop waiting for it. Copyable.
struct Call {
  absl::Time deadline = absl::InfiniteFuture();
  std::function<bool()> cancelled;  // empty: never

  bool IsCancelled() const { return cancelled && cancelled(); }
  // The earlier of the caller's deadline and `limit` from now.
  absl::Time DeadlineWithin(absl::Duration limit) const {
    return std::min(deadline, absl::Now() + limit);
  }
};

}  // namespace quoll::os
