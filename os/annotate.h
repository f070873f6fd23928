// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace quoll::os {

// "context: message" with the same code; OK stays OK. The subject comes first:
// Annotate(s, "sandbox 3f2a: pin network namespace").
absl::Status Annotate(const absl::Status& status, absl::string_view context);

// The first error of a cleanup that goes on after errors: keeps `first` when it
// is an error (appending the second one's message), else returns `second`.
absl::Status FirstError(absl::Status first, const absl::Status& second);

// Sleeping, retrying and time-outs are told apart by code alone: true for
// DeadlineExceeded and Cancelled.
bool IsGivingUp(const absl::Status& status);

}  // namespace quoll::os
