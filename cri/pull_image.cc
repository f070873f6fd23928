// SPDX-License-Identifier: Apache-2.0
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"

#include "cri/credentials.h"
#include "cri/rpcs.h"
#include "cri/translate_linux.h"
#include "os/status_macros.h"

namespace quoll::cri {

absl::Status PullImage(const Backends& backends, const os::Call& call,
                       const criv1::PullImageRequest& request,
                       criv1::PullImageResponse* response) {
  const std::string& name = request.image().image();
  QUOLL_RETURN_IF_ERROR(
      RequireField(name, "image.image", "name the image to pull"));
  // It would be read as the tag of a repository called "sha256".
  if (image::IsDigest(name)) {
    return absl::InvalidArgumentError(absl::StrCat(
        "image.image \"", name,
        "\" is an image's id: a pull needs the name of a repository"));
  }
  QUOLL_ASSIGN_OR_RETURN(const image::Reference reference,
                         image::ParseReference(name));
  QUOLL_ASSIGN_OR_RETURN(const image::Credentials credentials,
                         ToCredentials(request.auth(), reference));
  const absl::StatusOr<image::ImageRecord> record =
      backends.images.Pull(name, credentials, call);
  if (absl::IsUnavailable(record.status())) {
    // What the kubelet turns into the pod's reason "RegistryUnavailable".
    return absl::UnknownError(
        absl::StrCat("RegistryUnavailable: ", record.status().message()));
  }
  QUOLL_RETURN_IF_ERROR(record.status());
  response->set_image_ref(record->id());
  return absl::OkStatus();
}

}  // namespace quoll::cri
