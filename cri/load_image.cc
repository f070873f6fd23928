// SPDX-License-Identifier: Apache-2.0
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"

#include "cri/rpcs.h"
#include "cri/translate_linux.h"
#include "os/status_macros.h"

namespace quoll::cri {

absl::Status LoadImage(const Backends& backends, const os::Call& call,
                       const opv1::LoadImageRequest& request,
                       opv1::LoadImageResponse* response) {
  QUOLL_RETURN_IF_ERROR(RequireField(request.path(), "path",
                                     "name an OCI layout or a docker-archive"));
  if (!absl::StartsWith(request.path(), "/")) {
    return absl::InvalidArgumentError(
        absl::StrCat("path \"", request.path(),
                     "\" must be absolute: the daemon has a working directory "
                     "of its own"));
  }
  QUOLL_ASSIGN_OR_RETURN(
      const std::vector<image::ImageRecord> records,
      backends.images.Load(request.path(), request.name(), call));
  for (const image::ImageRecord& record : records) {
    opv1::LoadImageResponse::Loaded* loaded = response->add_images();
    loaded->set_id(record.id());
    *loaded->mutable_repo_tags() = record.repo_tags();
    loaded->set_size_bytes(record.size_bytes());
  }
  return absl::OkStatus();
}

}  // namespace quoll::cri
