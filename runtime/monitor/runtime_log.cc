// SPDX-License-Identifier: Apache-2.0
#include "runtime/monitor/runtime_log.h"

#include <algorithm>
#include <string>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_split.h"

#include "nlohmann/json.hpp"

namespace quoll::runtime {
namespace {

constexpr size_t kMaxMessage = 2048;

// "msg" of a log line; "" when it is not one. `is_error` by its level.
std::string Message(absl::string_view line, bool* is_error) {
  const nlohmann::json json =
      nlohmann::json::parse(line.begin(), line.end(), /*cb=*/nullptr,
                            /*allow_exceptions=*/false);
  if (!json.is_object()) {
    return "";
  }
  const auto level = json.find("level");
  *is_error = level != json.end() && level->is_string() &&
              (level->get_ref<const std::string&>() == "error" ||
               level->get_ref<const std::string&>() == "fatal");
  const auto message = json.find("msg");
  return message != json.end() && message->is_string()
             ? message->get<std::string>()
             : "";
}

std::string Clean(std::string text) {
  text.resize(std::min(text.size(), kMaxMessage));
  for (char& c : text) {
    if (absl::ascii_iscntrl(static_cast<unsigned char>(c))) {
      c = ' ';
    }
  }
  return std::string(absl::StripAsciiWhitespace(text));
}

}  // namespace

std::string LastRuntimeError(absl::string_view log) {
  std::string message;
  std::string any;
  for (absl::string_view line : absl::StrSplit(log, '\n')) {
    line = absl::StripAsciiWhitespace(line);
    if (line.empty()) {
      continue;
    }
    bool is_error = false;
    std::string text = Message(line, &is_error);
    if (is_error && !text.empty()) {
      message = text;
    }
    any = text.empty() ? std::string(line) : std::move(text);
  }
  return Clean(message.empty() ? any : message);
}

}  // namespace quoll::runtime
