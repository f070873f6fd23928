// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

#include "os/helper.h"
#include "runtime/engine.h"
#include "runtime/launch/oci_spec.h"
#include "runtime/types.h"

// What a launch needs to know of the node and of other containers. Each blocks
// for host_path_timeout at most, however many paths there are.
namespace quoll::runtime {

// Where the requested mounts come from, in their order. What is missing is made
// or refused, as the node is configured.
absl::StatusOr<std::vector<os::HostActions::HostPath>> ProbeMounts(
    const Engine& engine, const ContainerSpec& spec);

// The requested devices; a directory stands for all devices in it and below.
absl::StatusOr<std::vector<SpecInput::Device>> ProbeDevices(
    const Engine& engine, const ContainerSpec& spec);

// The PID namespace that the container joins; "" when it gets its own, or the
// node's. FailedPrecondition when the target container does not run.
absl::StatusOr<std::string> PidNamespacePath(const Engine& engine,
                                             const ContainerSpec& spec);

}  // namespace quoll::runtime
