// SPDX-License-Identifier: Apache-2.0
#include "absl/status/status.h"

#include "cri/filters.h"
#include "cri/rpcs.h"
#include "cri/translate_status.h"

namespace quoll::cri {

absl::Status ListContainers(const Backends& backends, const os::Call& /*call*/,
                            const criv1::ListContainersRequest& request,
                            criv1::ListContainersResponse* response) {
  for (const runtime::ContainerRecord& record : backends.containers.List()) {
    if (Matches(request.filter(), record)) {
      ToContainer(record, response->add_containers());
    }
  }
  return absl::OkStatus();
}

}  // namespace quoll::cri
