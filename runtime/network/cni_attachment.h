// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "absl/status/statusor.h"

#include "runtime/network/cni_network.h"
#include "runtime/network/pod_network.h"
#include "runtime/types.h"

namespace quoll::runtime {

// The record of an attachment before its ADD: everything that ADD, CHECK and
// DEL will be told, so that they are told the same. InvalidArgument when the
// request has something that a plugin would misread. Pure.
absl::StatusOr<NetworkAttachment> MakeAttachment(
    const PodNetwork::Request& request, const CniNetwork& network);

}  // namespace quoll::runtime
