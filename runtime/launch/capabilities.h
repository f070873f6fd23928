// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

#include "runtime/types.h"

// Which capabilities (capabilities(7)) a container's process gets.
namespace quoll::runtime {

struct CapabilitySets {
  std::vector<std::string> held;     // bounding, permitted and effective
  std::vector<std::string> ambient;  // ambient and inheritable
};

// The default set, less what `node` lacks, changed by the request; everything
// in `node` when privileged. `node` is what this daemon holds: it cannot give
// more. Both results are in the kernel's order. InvalidArgument for an unknown
// name; FailedPrecondition for a requested one that `node` lacks.
absl::StatusOr<CapabilitySets> ChooseCapabilities(
    const state::v1::Security& security, const std::vector<std::string>& node);

// "net_admin", "CAP_NET_ADMIN" -> "CAP_NET_ADMIN".
absl::StatusOr<std::string> CanonicalCapability(absl::string_view name);

// The names of the bits of a mask as /proc/PID/status shows it.
std::vector<std::string> CapabilitiesOfMask(uint64_t mask);

}  // namespace quoll::runtime
