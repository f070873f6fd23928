// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

#include "image/image_source.h"
#include "os/call.h"

namespace quoll::image {

// Read access to the files of a local image archive, by relative path. The
// content is a stranger's: nothing outside the archive is ever reached through
// it, and only regular files are read. Thread-safe.
class ArchiveFiles {
 public:
  virtual ~ArchiveFiles() = default;

  virtual bool Has(const std::string& path) const = 0;
  // ResourceExhausted past `max_bytes`. NotFound.
  virtual absl::StatusOr<std::string> Read(const std::string& path,
                                           size_t max_bytes,
                                           const os::Call& call) const = 0;
  // Bytes from `offset` on, in order. NotFound.
  virtual absl::Status Stream(const std::string& path, int64_t offset,
                              const ByteSink& sink,
                              const os::Call& call) const = 0;
  // NotFound.
  virtual absl::StatusOr<int64_t> Size(const std::string& path) const = 0;
};

// A directory, or a tar (plain or compressed with gzip, zstd, xz or bzip2).
// InvalidArgument when `path` is neither, NotFound when it does not exist. A
// tar's headers are all read here.
absl::StatusOr<std::unique_ptr<ArchiveFiles>> OpenArchiveFiles(
    const std::string& path, const os::Call& call);

// "./a//b/../c" -> "a/c"; a leading / is dropped; "" when nothing is left or
// it leads outside.
std::string NormalArchivePath(const std::string& path);

}  // namespace quoll::image
