// SPDX-License-Identifier: Apache-2.0
#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/string_view.h"

#include "cri/rpcs.h"
#include "os/status_macros.h"

namespace quoll::cri {
namespace {

absl::Status CheckCidr(absl::string_view cidr) {
  const std::pair<std::string, std::string> parts =
      absl::StrSplit(cidr, absl::MaxSplits('/', 1));
  in6_addr address{};
  int most = -1;
  if (inet_pton(AF_INET, parts.first.c_str(), &address) == 1) {
    most = 32;
  } else if (inet_pton(AF_INET6, parts.first.c_str(), &address) == 1) {
    most = 128;
  }
  int length = 0;
  if (most < 0 || !absl::SimpleAtoi(parts.second, &length) || length < 0 ||
      length > most) {
    return absl::InvalidArgumentError(
        absl::StrCat("runtime_config.network_config.pod_cidr: \"", cidr,
                     "\" is no address range like 10.244.1.0/24"));
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status UpdateRuntimeConfig(
    const Backends& backends, const os::Call& /*call*/,
    const criv1::UpdateRuntimeConfigRequest& request,
    criv1::UpdateRuntimeConfigResponse* /*response*/) {
  // The node's range of pod addresses, or both of a dual-stack node: "A,B".
  // CNI configurations name their own ranges, so it is only shown (Status).
  const std::string& cidrs =
      request.runtime_config().network_config().pod_cidr();
  if (cidrs.empty()) {
    return absl::OkStatus();
  }
  for (const absl::string_view cidr : absl::StrSplit(cidrs, ',')) {
    QUOLL_RETURN_IF_ERROR(CheckCidr(cidr));
  }
  backends.settings.set_pod_cidr(cidrs);
  return absl::OkStatus();
}

}  // namespace quoll::cri
