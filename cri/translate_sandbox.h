// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "absl/status/statusor.h"

#include "cri/backends.h"
#include "proto/runtime/v1/api.pb.h"
#include "runtime/types.h"

namespace quoll::cri {

// What a RunPodSandbox asks for, checked. Windows fields are ignored, as are
// the sandbox's own user and seccomp profile: a Quoll pod has no process that
// they could be applied to. Pure. InvalidArgument names the field;
// Unimplemented for what is not built yet.
absl::StatusOr<runtime::SandboxSpec> ToSandboxSpec(
    const ::runtime::v1::PodSandboxConfig& config, const std::string& handler,
    const DaemonFacts& facts);

}  // namespace quoll::cri
