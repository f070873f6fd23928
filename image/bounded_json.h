// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

#include "nlohmann/json.hpp"

namespace quoll::image {

// Parses a stranger's JSON: at most 64 levels deep (nothing here needs more
// than ten), valid UTF-8, no exceptions. DataLoss begins with `subject`.
absl::StatusOr<nlohmann::json> ParseBoundedJson(absl::string_view text,
                                                absl::string_view subject);

}  // namespace quoll::image
