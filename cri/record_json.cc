// SPDX-License-Identifier: Apache-2.0
#include "cri/record_json.h"

#include "google/protobuf/util/json_util.h"

#include "nlohmann/json.hpp"

namespace quoll::cri {
namespace {

nlohmann::json Error(absl::string_view why) {
  return {{"error", std::string(why)}};
}

}  // namespace

nlohmann::json ParsedJson(const std::string& text) {
  nlohmann::json parsed =
      nlohmann::json::parse(text, nullptr, /*allow_exceptions=*/false);
  return parsed.is_discarded() ? Error("not JSON") : parsed;
}

nlohmann::json RecordJson(const google::protobuf::Message& record) {
  std::string text;
  const auto status =
      google::protobuf::util::MessageToJsonString(record, &text);
  return status.ok()
             ? ParsedJson(text)
             : Error({status.message().data(), status.message().size()});
}

nlohmann::json SpecJson(const absl::StatusOr<std::string>& spec) {
  return spec.ok() ? ParsedJson(*spec) : Error(spec.status().message());
}

std::string DumpJson(const nlohmann::json& json) {
  return json.dump(2, ' ', false, nlohmann::json::error_handler_t::replace);
}

}  // namespace quoll::cri
