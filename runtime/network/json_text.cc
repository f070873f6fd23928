// SPDX-License-Identifier: Apache-2.0
#include "runtime/network/json_text.h"

#include "absl/status/status.h"
#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"

#include "os/json.h"
#include "os/status_macros.h"

namespace quoll::runtime {

absl::StatusOr<nlohmann::json> ParseJsonObject(absl::string_view text) {
  QUOLL_ASSIGN_OR_RETURN(nlohmann::json value, os::ParseJson(text));
  if (!value.is_object()) {
    return absl::InvalidArgumentError(absl::StrCat(
        "it is JSON, but of type ", value.type_name(), " instead of object"));
  }
  return value;
}

std::string PrintJson(const nlohmann::json& value) {
  return value.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

std::string StringMember(const nlohmann::json& object, const char* key) {
  const auto it = object.find(key);
  return it != object.end() && it->is_string() ? it->get<std::string>()
                                               : std::string();
}

std::string OneLine(absl::string_view text, size_t max_bytes) {
  text = absl::StripAsciiWhitespace(text);
  size_t end = text.size();
  if (end > max_bytes) {
    end = max_bytes;
    // Not in the middle of a UTF-8 sequence (10xxxxxx continues one).
    while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xc0) == 0x80) {
      --end;
    }
  }
  std::string line(text.substr(0, end));
  for (char& c : line) {
    if (absl::ascii_iscntrl(static_cast<unsigned char>(c))) {
      c = ' ';
    }
  }
  if (end < text.size()) {
    line += "...";
  }
  return line;
}

}  // namespace quoll::runtime
