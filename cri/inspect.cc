// SPDX-License-Identifier: Apache-2.0
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"

#include "cri/record_json.h"
#include "cri/rpcs.h"
#include "cri/translate_linux.h"
#include "nlohmann/json.hpp"
#include "os/status_macros.h"

namespace quoll::cri {

absl::Status Inspect(const Backends& backends, const os::Call& /*call*/,
                     const opv1::InspectRequest& request,
                     opv1::InspectResponse* response) {
  QUOLL_RETURN_IF_ERROR(
      RequireField(request.id(), "id", "name a sandbox or a container"));
  const absl::StatusOr<runtime::ContainerRecord> container =
      backends.containers.Get(request.id());
  const absl::StatusOr<runtime::SandboxRecord> sandbox =
      backends.sandboxes.Get(request.id());
  // Neither fails but for "none" and "more than one".
  for (const absl::Status& status : {container.status(), sandbox.status()}) {
    if (!status.ok() && !absl::IsNotFound(status)) {
      return status;
    }
  }
  if (container.ok() && sandbox.ok()) {
    return absl::InvalidArgumentError(absl::StrCat(
        request.id(), " begins the ids of a container (", container->id(),
        ") and of a sandbox (", sandbox->id(), "): give more digits"));
  }
  nlohmann::json json;
  if (container.ok()) {
    json = {
        {"kind", "container"},
        {"record", RecordJson(*container)},
        {"ociSpec", SpecJson(backends.containers.OciSpec(container->id()))}};
  } else if (sandbox.ok()) {
    json = {{"kind", "sandbox"}, {"record", RecordJson(*sandbox)}};
  } else {
    return absl::NotFoundError(absl::StrCat(
        request.id(), ": there is no container and no sandbox with this id"));
  }
  response->set_json(DumpJson(json));
  return absl::OkStatus();
}

}  // namespace quoll::cri
