// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "google/protobuf/message.h"

namespace quoll::ctl {

// Write to standard output and to standard error.
absl::Status Print(absl::string_view text);
absl::Status PrintToStderr(absl::string_view text);

// Whether a write failed because its reader has gone: `quollctl logs | head`.
bool IsClosedPipe(const absl::Status& status);

// A message as JSON, fields with their default value included.
absl::Status PrintJson(const google::protobuf::Message& message);

// A JSON array, and a JSON object of strings, in this order.
absl::Status PrintJson(const std::vector<std::string>& words);
absl::Status PrintJson(
    const std::vector<std::pair<std::string, std::string>>& fields);

}  // namespace quoll::ctl
