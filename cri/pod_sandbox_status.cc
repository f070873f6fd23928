// SPDX-License-Identifier: Apache-2.0
#include <string>

#include "absl/status/status.h"
#include "absl/time/clock.h"

#include "cri/record_json.h"
#include "cri/rpcs.h"
#include "cri/translate_linux.h"
#include "cri/translate_status.h"
#include "nlohmann/json.hpp"
#include "os/status_macros.h"

namespace quoll::cri {

absl::Status PodSandboxStatus(const Backends& backends,
                              const os::Call& /*call*/,
                              const criv1::PodSandboxStatusRequest& request,
                              criv1::PodSandboxStatusResponse* response) {
  QUOLL_RETURN_IF_ERROR(RequireField(request.pod_sandbox_id(), "pod_sandbox_id",
                                     "name the sandbox to look at"));
  // Taken before the reading, so that the kubelet's cache never believes that
  // it is newer than it is (Evented PLEG compares these).
  response->set_timestamp(absl::GetCurrentTimeNanos());
  QUOLL_ASSIGN_OR_RETURN(const runtime::SandboxRecord record,
                         backends.sandboxes.Get(request.pod_sandbox_id()));
  ToPodSandboxStatus(record, response->mutable_status());
  for (const runtime::ContainerRecord& container : backends.containers.List()) {
    if (container.spec().sandbox_id() == record.id()) {
      ToContainerStatus(container, response->add_containers_statuses());
    }
  }
  if (request.verbose()) {
    // crictl looks for a pid here; a pod of ours rarely has a process.
    const nlohmann::json info = {{"pid", record.pause().pid()},
                                 {"record", RecordJson(record)}};
    (*response->mutable_info())["info"] = DumpJson(info);
  }
  return absl::OkStatus();
}

}  // namespace quoll::cri
