// SPDX-License-Identifier: Apache-2.0
#include "absl/status/status.h"

#include "cri/rpcs.h"
#include "cri/translate_linux.h"
#include "os/status_macros.h"

namespace quoll::cri {

absl::Status StartContainer(const Backends& backends, const os::Call& call,
                            const criv1::StartContainerRequest& request,
                            criv1::StartContainerResponse* /*response*/) {
  QUOLL_RETURN_IF_ERROR(RequireField(request.container_id(), "container_id",
                                     "name the container to start"));
  return backends.containers.Start(request.container_id(), call);
}

}  // namespace quoll::cri
