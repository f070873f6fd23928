// SPDX-License-Identifier: Apache-2.0
#include "absl/status/status.h"

#include "cri/rpcs.h"
#include "cri/translate_linux.h"
#include "os/status_macros.h"

namespace quoll::cri {

absl::Status ReopenContainerLog(
    const Backends& backends, const os::Call& call,
    const criv1::ReopenContainerLogRequest& request,
    criv1::ReopenContainerLogResponse* /*response*/) {
  QUOLL_RETURN_IF_ERROR(
      RequireField(request.container_id(), "container_id",
                   "name the container to rotate the log of"));
  return backends.containers.ReopenLog(request.container_id(), call);
}

}  // namespace quoll::cri
