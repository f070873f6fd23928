// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "google/protobuf/message.h"

namespace quoll::ctl {

// Writes to standard output; Unavailable when it is gone (a closed pipe).
absl::Status Print(absl::string_view text);

// A message as JSON, fields with their default value included.
absl::Status PrintJson(const google::protobuf::Message& message);

}  // namespace quoll::ctl
