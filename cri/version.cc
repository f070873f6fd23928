// SPDX-License-Identifier: Apache-2.0
#include "absl/status/status.h"

#include "cri/rpcs.h"

namespace quoll::cri {

absl::Status Version(const Backends& backends, const os::Call& /*call*/,
                     const criv1::VersionRequest& /*request*/,
                     criv1::VersionResponse* response) {
  // The version of the kubelet's side of the API; it has always been this one.
  response->set_version("0.1.0");
  response->set_runtime_name("quoll");
  response->set_runtime_version(backends.facts.version);
  response->set_runtime_api_version("v1");
  return absl::OkStatus();
}

}  // namespace quoll::cri
