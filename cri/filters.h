// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "proto/runtime/v1/api.pb.h"
#include "runtime/types.h"

// Whether a list call's filter selects a record. Every part that is set must
// match: ids by prefix, all labels of the selector, the state as CRI shows it.
namespace quoll::cri {

bool Matches(const ::runtime::v1::PodSandboxFilter& filter,
             const runtime::SandboxRecord& record);

bool Matches(const ::runtime::v1::ContainerFilter& filter,
             const runtime::ContainerRecord& record);

}  // namespace quoll::cri
