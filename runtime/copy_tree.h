// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>

#include "absl/status/status.h"
#include "absl/time/time.h"

namespace quoll::runtime {

struct CopyLimits {
  uint64_t max_bytes = uint64_t{4} << 30;
  size_t max_entries = 200'000;
  int max_depth = 100;
  absl::Time deadline = absl::InfiniteFuture();
};

// Copies what is in the directory `from_fd` into the directory `to_fd`, with
// owners, modes, times and extended attributes, those of the directory itself
// included. The source is a stranger's: no link is followed, nothing but files,
// directories and links is copied (devices, sockets and FIFOs are passed over),
// and ResourceExhausted or DeadlineExceeded ends what is too large. What was
// copied until an error stays.
absl::Status CopyTree(int from_fd, int to_fd, const CopyLimits& limits);

}  // namespace quoll::runtime
