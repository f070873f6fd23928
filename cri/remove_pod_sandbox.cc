// SPDX-License-Identifier: Apache-2.0
#include "absl/status/status.h"

#include "cri/rpcs.h"
#include "cri/translate_linux.h"
#include "os/status_macros.h"

namespace quoll::cri {

absl::Status RemovePodSandbox(const Backends& backends, const os::Call& call,
                              const criv1::RemovePodSandboxRequest& request,
                              criv1::RemovePodSandboxResponse* /*response*/) {
  QUOLL_RETURN_IF_ERROR(RequireField(request.pod_sandbox_id(), "pod_sandbox_id",
                                     "name the sandbox to remove"));
  QUOLL_RETURN_IF_ERROR(
      backends.sandboxes.Remove(request.pod_sandbox_id(), call));
  backends.images.ContainersGone();
  return absl::OkStatus();
}

}  // namespace quoll::cri
