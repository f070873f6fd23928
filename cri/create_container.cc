// SPDX-License-Identifier: Apache-2.0
#include <memory>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"

#include "cri/rpcs.h"
#include "cri/translate_container.h"
#include "cri/translate_linux.h"
#include "image/reference.h"
#include "os/status_macros.h"

namespace quoll::cri {
namespace {

absl::StatusOr<image::ImageLease> LeaseImage(const std::string& name,
                                             image::ImageService& images) {
  absl::StatusOr<image::ImageLease> lease = images.Lease(name);
  if (absl::IsNotFound(lease.status())) {
    return absl::NotFoundError(
        absl::StrCat("image ", name, " is not on this node: pull it first"));
  }
  return lease;
}

// What a pod's status shows as imageID: the digest by which the repository that
// the user named knows the image; it may have come from several.
std::string ImageRef(const image::ImageRecord& image,
                     const std::string& user_image) {
  if (image.repo_digests().empty()) {
    return image.id();
  }
  if (const auto named = image::ParseReference(user_image); named.ok()) {
    for (const std::string& digest : image.repo_digests()) {
      if (absl::StartsWith(digest, absl::StrCat(named->Name(), "@"))) {
        return digest;
      }
    }
  }
  return image.repo_digests(0);
}

void AddImage(const image::ImageLease& lease, runtime::ContainerSpec& spec) {
  const image::ImageRecord& image = lease.record();
  spec.set_image_id(image.id());
  spec.set_image_ref(ImageRef(image, spec.user_image()));
  *spec.mutable_image_config() = image.config();
  for (const std::string& layer : lease.layer_dirs()) {
    spec.mutable_rootfs()->add_layer_dirs(layer);
  }
}

}  // namespace

absl::Status CreateContainer(const Backends& backends, const os::Call& call,
                             const criv1::CreateContainerRequest& request,
                             criv1::CreateContainerResponse* response) {
  QUOLL_RETURN_IF_ERROR(RequireField(request.pod_sandbox_id(), "pod_sandbox_id",
                                     "a container belongs to a sandbox"));
  QUOLL_ASSIGN_OR_RETURN(runtime::ContainerSpec spec,
                         ToContainerSpec(request.config()));
  // Asked first, so that a wrong sandbox is not reported as a missing image,
  // and for its whole id: the request may carry a prefix.
  QUOLL_ASSIGN_OR_RETURN(const runtime::SandboxRecord sandbox,
                         backends.sandboxes.Get(request.pod_sandbox_id()));
  spec.set_sandbox_id(sandbox.id());
  QUOLL_ASSIGN_OR_RETURN(
      image::ImageLease lease,
      LeaseImage(request.config().image().image(), backends.images));
  AddImage(lease, spec);
  // Until the intent is durable only the lease keeps the layers; from then on
  // the record does. A std::function has to be copyable, hence the shared one.
  auto held = std::make_shared<image::ImageLease>(std::move(lease));
  QUOLL_ASSIGN_OR_RETURN(const runtime::ContainerRecord record,
                         backends.containers.Create(spec, call, [held] {
                           *held = image::ImageLease();
                         }));
  response->set_container_id(record.id());
  return absl::OkStatus();
}

}  // namespace quoll::cri
