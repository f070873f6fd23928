// SPDX-License-Identifier: Apache-2.0
#include "absl/status/status.h"

#include "cri/rpcs.h"
#include "cri/translate_linux.h"
#include "os/status_macros.h"

namespace quoll::cri {

absl::Status RemoveContainer(const Backends& backends, const os::Call& call,
                             const criv1::RemoveContainerRequest& request,
                             criv1::RemoveContainerResponse* /*response*/) {
  QUOLL_RETURN_IF_ERROR(RequireField(request.container_id(), "container_id",
                                     "name the container to remove"));
  QUOLL_RETURN_IF_ERROR(
      backends.containers.Remove(request.container_id(), call));
  backends.images.ContainersGone();
  return absl::OkStatus();
}

}  // namespace quoll::cri
