// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "absl/status/statusor.h"

#include "proto/runtime/v1/api.pb.h"

namespace quoll::cri {

// The Linux number of a CRI signal; 0 for SIGNAL_RUNTIME_DEFAULT.
// InvalidArgument for a value that this version of the API does not name. Real
// time signals count from glibc's SIGRTMIN, 34: that is what programs in
// containers mean by "SIGRTMIN+3", whatever libc they have.
absl::StatusOr<int> SignalNumber(::runtime::v1::Signal signal);

// The other way; SIGNAL_RUNTIME_DEFAULT for what CRI has no name for.
::runtime::v1::Signal SignalFromNumber(int number);

}  // namespace quoll::cri
