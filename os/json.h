// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

#include "nlohmann/json.hpp"

namespace quoll::os {

// JSON that strangers wrote: registries, images, CNI plugins, people. At most
// 64 levels deep (copying and printing a value recurse, so that depth is
// stack), valid UTF-8; nlohmann-json's exceptions end here. InvalidArgument
// says where the mistake is, in one short line.
absl::StatusOr<nlohmann::json> ParseJson(absl::string_view text);

}  // namespace quoll::os
