// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

#include "os/unique_fd.h"

// Files and directories of our own, by path. Everything here follows symlinks
// in its arguments, so no path may come from a container, an image or any other
// stranger: os/rooted_path.h is for those. Nothing here is bounded in time: use
// it only on local file systems that Quoll itself lives on.
namespace quoll::os {

// Fails with ResourceExhausted past `max_bytes`. Works on procfs and cgroupfs.
absl::StatusOr<std::string> ReadFile(const std::string& path,
                                     size_t max_bytes = 16u << 20);

// Writes a temporary beside it, fsyncs it, renames it over `path` and fsyncs
// the directory. After OK the content survives a power cut; after an error the
// old content is still there.
absl::Status WriteFileAtomically(const std::string& path,
                                 absl::string_view data, mode_t mode);

// As above without the two fsyncs: readers see the old or the new content, a
// power cut may lose it. For tmpfs (/run), where there is nothing to sync.
absl::Status ReplaceFile(const std::string& path, absl::string_view data,
                         mode_t mode);

// One write(2) to an existing control file (cgroupfs, procfs). The kernel's
// errno becomes the code.
absl::Status WriteControlFile(const std::string& path, absl::string_view data);

// mkdir -p. Existing directories are left as they are.
absl::Status MakeDirectories(const std::string& path, mode_t mode);

// Names in a directory, sorted, without "." and "..".
absl::StatusOr<std::vector<std::string>> ListDirectory(const std::string& path);

// Removes a file or a whole tree without following symlinks and without
// crossing into another mount (FailedPrecondition names the mount point; what
// could be removed before it is gone). OK when it is already gone.
absl::Status RemoveTree(const std::string& path);

// fsync of a directory, which makes renames in it durable.
absl::Status SyncDirectory(const std::string& path);

bool Exists(const std::string& path);

// Writes all of `data`, retrying on short writes and EINTR.
absl::Status WriteAll(int fd, absl::string_view data);

}  // namespace quoll::os
