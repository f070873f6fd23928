// SPDX-License-Identifier: Apache-2.0
#include <string>
#include <utility>

#include "absl/status/status.h"

#include "cri/record_json.h"
#include "cri/rpcs.h"
#include "cri/translate_linux.h"
#include "cri/translate_status.h"
#include "nlohmann/json.hpp"
#include "os/status_macros.h"

namespace quoll::cri {

absl::Status ContainerStatus(const Backends& backends, const os::Call& /*call*/,
                             const criv1::ContainerStatusRequest& request,
                             criv1::ContainerStatusResponse* response) {
  QUOLL_RETURN_IF_ERROR(RequireField(request.container_id(), "container_id",
                                     "name the container to look at"));
  QUOLL_ASSIGN_OR_RETURN(const runtime::ContainerRecord record,
                         backends.containers.Get(request.container_id()));
  ToContainerStatus(record, response->mutable_status());
  if (request.verbose()) {
    // The names are those that tools around containerd look for.
    const nlohmann::json info = {
        {"sandboxID", record.spec().sandbox_id()},
        {"pid", record.init().pid()},
        {"runtimeType", record.runtime_name()},
        {"runtimeSpec", SpecJson(backends.containers.OciSpec(record.id()))},
        {"record", RecordJson(record)}};
    (*response->mutable_info())["info"] = DumpJson(info);
  }
  return absl::OkStatus();
}

}  // namespace quoll::cri
