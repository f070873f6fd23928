// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"

namespace quoll::runtime {

struct DiskUsage {
  uint64_t bytes = 0;  // blocks on the disk; a hard link counts once
  uint64_t inodes = 0;
};

// Walks `directory` without following links or leaving its file system. What
// vanishes during the walk is not counted. Zero when there is no directory.
absl::StatusOr<DiskUsage> MeasureTree(const std::string& directory);

}  // namespace quoll::runtime
