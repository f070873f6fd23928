// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

#include "nlohmann/json.hpp"

namespace quoll::image {

// os::ParseJson of what a registry or an archive said it was; DataLoss begins
// with `subject`.
absl::StatusOr<nlohmann::json> ParseBoundedJson(absl::string_view text,
                                                absl::string_view subject);

}  // namespace quoll::image
