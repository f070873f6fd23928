// SPDX-License-Identifier: Apache-2.0
#include "absl/status/status.h"

#include "cri/rpcs.h"

namespace quoll::cri {

absl::Status RuntimeConfig(const Backends& /*backends*/,
                           const os::Call& /*call*/,
                           const criv1::RuntimeConfigRequest& /*request*/,
                           criv1::RuntimeConfigResponse* response) {
  // The kubelet takes this over its own cgroupDriver setting.
  response->mutable_linux()->set_cgroup_driver(criv1::CGROUPFS);
  return absl::OkStatus();
}

}  // namespace quoll::cri
