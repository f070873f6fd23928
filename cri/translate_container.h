// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "absl/status/statusor.h"

#include "proto/runtime/v1/api.pb.h"
#include "runtime/types.h"

namespace quoll::cri {

// What a CreateContainer asks for, checked; all fields but sandbox_id,
// image_id, image_ref, image_config and rootfs, which come from the sandbox and
// the image. Windows fields are ignored. Pure. InvalidArgument names the field;
// Unimplemented for what is not built yet.
absl::StatusOr<runtime::ContainerSpec> ToContainerSpec(
    const ::runtime::v1::ContainerConfig& config);

}  // namespace quoll::cri
