// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "absl/status/statusor.h"

#include "image/image_source.h"
#include "image/reference.h"
#include "proto/runtime/v1/api.pb.h"

namespace quoll::cri {

// What to show the registry of `reference`. Credentials that name another
// server (AuthConfig.server_address) are left out: they must never be sent to a
// host that they were not made for. No error repeats any part of a secret.
absl::StatusOr<image::Credentials> ToCredentials(
    const ::runtime::v1::AuthConfig& auth, const image::Reference& reference);

}  // namespace quoll::cri
