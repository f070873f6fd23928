// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"

#include "os/unique_fd.h"

// Paths whose content belongs to a stranger (a container's root filesystem, an
// unpacked image). Every lookup is one openat2(2) with RESOLVE_IN_ROOT: ".."
// and absolute symlinks stay inside, magic links are refused (Linux 5.6).
namespace quoll::os {

// Opens `path` as a process whose root is `root_fd` would see it. `flags` are
// open(2)'s; O_CLOEXEC is added. NotFound when it does not exist.
absl::StatusOr<UniqueFd> OpenInRoot(int root_fd, const std::string& path,
                                    uint64_t flags, uint64_t mode = 0);

// Reads a regular file inside the root: FIFOs, devices and files over
// `max_bytes` are refused and never block.
absl::StatusOr<std::string> ReadFileInRoot(int root_fd, const std::string& path,
                                           size_t max_bytes);

// mkdir -p inside the root, one component at a time, each by openat2. Returns
// an O_PATH descriptor of the last directory.
absl::StatusOr<UniqueFd> MakeDirectoriesInRoot(int root_fd,
                                               const std::string& path,
                                               uint32_t mode);

}  // namespace quoll::os
