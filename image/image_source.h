// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"

#include "image/reference.h"
#include "os/call.h"

namespace quoll::image {

// A pointer to content, as manifests carry it (OCI image-spec, descriptor.md).
struct Descriptor {
  std::string media_type;
  std::string digest;  // "sha256:<hex>"
  int64_t size_bytes = 0;
};

struct Credentials {
  std::string username;
  std::string password;
  std::string identity_token;
  std::string registry_token;
  bool empty() const {
    return username.empty() && password.empty() && identity_token.empty() &&
           registry_token.empty();
  }
};

// Returning non-OK stops the transfer with that status. Called on the thread
// that called Fetch. Blocking in it slows the transfer down (back-pressure).
using ByteSink = std::function<absl::Status(absl::string_view chunk)>;

// Where the parts of an image come from: a registry, or a local archive.
// Content is untrusted; nobody below the caller verifies it. Thread-safe:
// several Fetch calls run at once.
class ImageSource {
 public:
  virtual ~ImageSource() = default;

  struct Manifest {
    Descriptor descriptor;  // of `content`
    std::string content;    // the bytes, at most 4 MiB
  };
  // A manifest or an index by tag or digest ("latest", "sha256:..."). NotFound,
  // PermissionDenied, Unavailable (worth retrying), DeadlineExceeded.
  virtual absl::StatusOr<Manifest> FetchManifest(
      const std::string& tag_or_digest, const os::Call& call) = 0;

  // Bytes of a blob from `offset` on, in order.
  virtual absl::Status FetchBlob(const Descriptor& blob, int64_t offset,
                                 const ByteSink& sink,
                                 const os::Call& call) = 0;
};

}  // namespace quoll::image
