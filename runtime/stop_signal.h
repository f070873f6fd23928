// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace quoll::runtime {

// The number of a signal as images name it: "SIGTERM", "term", "15",
// "SIGRTMIN+3". InvalidArgument for anything else.
absl::StatusOr<int> ParseSignal(absl::string_view text);

}  // namespace quoll::runtime
