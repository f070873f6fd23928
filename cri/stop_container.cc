// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cstdint>

#include "absl/status/status.h"
#include "absl/time/time.h"

#include "cri/rpcs.h"
#include "cri/translate_linux.h"
#include "os/status_macros.h"

namespace quoll::cri {

absl::Status StopContainer(const Backends& backends, const os::Call& call,
                           const criv1::StopContainerRequest& request,
                           criv1::StopContainerResponse* /*response*/) {
  QUOLL_RETURN_IF_ERROR(RequireField(request.container_id(), "container_id",
                                     "name the container to stop"));
  // A negative grace period is no reason to leave a container running.
  const int64_t seconds = std::max<int64_t>(request.timeout(), 0);
  return backends.containers.Stop(request.container_id(),
                                  absl::Seconds(seconds), call);
}

}  // namespace quoll::cri
