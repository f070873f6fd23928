// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

#include "nlohmann/json.hpp"

// JSON of CNI plugins and of people.
namespace quoll::runtime {

// os::ParseJson; InvalidArgument, too, when it is no object.
absl::StatusOr<nlohmann::json> ParseJsonObject(absl::string_view text);

// Never fails: bytes that are no UTF-8 become U+FFFD.
std::string PrintJson(const nlohmann::json& value);

// "" when there is no such member or it is no string.
std::string StringMember(const nlohmann::json& object, const char* key);

// A stranger's text made fit for one line of a message: control characters
// become spaces, the end is cut off past `max_bytes`.
std::string OneLine(absl::string_view text, size_t max_bytes = 1024);

}  // namespace quoll::runtime
