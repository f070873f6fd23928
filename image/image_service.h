// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

#include "image/image_source.h"
#include "image/reference.h"
#include "os/call.h"
#include "proto/state/v1/state.pb.h"

namespace quoll::image {

using ImageRecord = ::quoll::state::v1::ImageRecord;

// Keeps an image's layers from being removed while it lives, until whoever uses
// them has written that down. Move-only.
class ImageLease {
 public:
  ImageLease() = default;
  ImageLease(ImageRecord record, std::vector<std::string> layer_dirs,
             std::shared_ptr<void> hold)
      : record_(std::move(record)),
        layer_dirs_(std::move(layer_dirs)),
        hold_(std::move(hold)) {}
  const ImageRecord& record() const { return record_; }
  // Bottom first, absolute.
  const std::vector<std::string>& layer_dirs() const { return layer_dirs_; }

 private:
  ImageRecord record_;
  std::vector<std::string> layer_dirs_;
  std::shared_ptr<void> hold_;
};

// The image use cases, free of gRPC types. Thread-safe; all calls may block.
class ImageService {
 public:
  virtual ~ImageService() = default;

  // Rebuilds everything from the store; before the first call of another.
  virtual absl::Status Recover() = 0;

  // Concurrent pulls of one reference share one transfer. The transfer goes on
  // while one caller still waits for it. Errors: InvalidArgument (name),
  // NotFound, PermissionDenied, Unavailable, DataLoss (digest), Cancelled,
  // DeadlineExceeded (at once when the deadline has passed already).
  virtual absl::StatusOr<ImageRecord> Pull(const std::string& reference,
                                           const Credentials& credentials,
                                           const os::Call& call) = 0;

  // OCI layout (directory or tar) or docker-archive at `path`. `name`, when not
  // empty, is given to the only image in it.
  virtual absl::StatusOr<std::vector<ImageRecord>> Load(
      const std::string& path, const std::string& name,
      const os::Call& call) = 0;

  // By any name, by id ("sha256:..." or bare hex, a unique prefix of at least
  // 8 digits is enough) or by repo digest. NotFound.
  virtual absl::StatusOr<ImageRecord> Find(
      const std::string& reference) const = 0;
  virtual absl::StatusOr<ImageLease> Lease(const std::string& reference) = 0;

  // Sorted by id.
  virtual std::vector<ImageRecord> List() const = 0;

  // Removes all names of the image. OK when it is already gone. Layers that
  // nobody else needs go with it.
  virtual absl::Status Remove(const std::string& reference) = 0;

  // To be called after containers have gone: layers that nobody else needed,
  // because their image had been removed before, go too. Cheap when there are
  // none. What cannot be removed now is tried again, so there is no error.
  virtual void ContainersGone() = 0;

  struct FsUsage {
    std::string mountpoint;  // directory of the layer store
    uint64_t bytes = 0;
    uint64_t inodes = 0;
  };
  virtual FsUsage Usage() const = 0;
};

}  // namespace quoll::image
