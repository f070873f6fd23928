// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

#include "nlohmann/json.hpp"

// JSON that strangers wrote: CNI plugins and people. nlohmann-json's exceptions
// end here.
namespace quoll::runtime {

// InvalidArgument with the place of the mistake when `text` is not one JSON
// object, or when it nests deeper than anything honest does (copying and
// printing a value recurse, so that depth is stack).
absl::StatusOr<nlohmann::json> ParseJsonObject(absl::string_view text);

// Never fails: bytes that are no UTF-8 become U+FFFD.
std::string PrintJson(const nlohmann::json& value);

// "" when there is no such member or it is no string.
std::string StringMember(const nlohmann::json& object, const char* key);

// A stranger's text made fit for one line of a message: control characters
// become spaces, the end is cut off past `max_bytes`.
std::string OneLine(absl::string_view text, size_t max_bytes = 1024);

}  // namespace quoll::runtime
