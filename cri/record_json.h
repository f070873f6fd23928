// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "google/protobuf/message.h"

#include "nlohmann/json_fwd.hpp"

// JSON for people (verbose answers, Inspect). Never fails: what cannot be shown
// is replaced by an object {"error": "why"}, because a look at a broken thing
// is worth most when a part of it is unreadable.
namespace quoll::cri {

nlohmann::json ParsedJson(const std::string& text);

nlohmann::json RecordJson(const google::protobuf::Message& record);

// A container's OCI spec as the runtime service returns it.
nlohmann::json SpecJson(const absl::StatusOr<std::string>& spec);

// Bytes that are no UTF-8 are replaced.
std::string DumpJson(const nlohmann::json& json);

}  // namespace quoll::cri
