// SPDX-License-Identifier: Apache-2.0
#include "absl/status/status.h"

#include "cri/filters.h"
#include "cri/rpcs.h"
#include "cri/translate_status.h"

namespace quoll::cri {

absl::Status ListPodSandbox(const Backends& backends, const os::Call& /*call*/,
                            const criv1::ListPodSandboxRequest& request,
                            criv1::ListPodSandboxResponse* response) {
  for (const runtime::SandboxRecord& record : backends.sandboxes.List()) {
    if (Matches(request.filter(), record)) {
      ToPodSandbox(record, response->add_items());
    }
  }
  return absl::OkStatus();
}

}  // namespace quoll::cri
