// SPDX-License-Identifier: Apache-2.0
#include "absl/status/status.h"

#include "cri/rpcs.h"
#include "cri/translate_sandbox.h"
#include "os/status_macros.h"

namespace quoll::cri {

absl::Status RunPodSandbox(const Backends& backends, const os::Call& call,
                           const criv1::RunPodSandboxRequest& request,
                           criv1::RunPodSandboxResponse* response) {
  QUOLL_ASSIGN_OR_RETURN(
      const runtime::SandboxSpec spec,
      ToSandboxSpec(request.config(), request.runtime_handler(),
                    backends.facts));
  QUOLL_ASSIGN_OR_RETURN(const runtime::SandboxRecord record,
                         backends.sandboxes.Run(spec, call));
  response->set_pod_sandbox_id(record.id());
  return absl::OkStatus();
}

}  // namespace quoll::cri
