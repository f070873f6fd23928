// SPDX-License-Identifier: Apache-2.0
#include "runtime/network/json_text.h"

#include "absl/status/status.h"
#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"

namespace quoll::runtime {
namespace {

constexpr int kMaxDepth = 64;

// Looks at brackets outside of strings only; the parser finds every other
// mistake.
bool IsTooDeep(absl::string_view text) {
  int depth = 0;
  bool in_string = false;
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (in_string) {
      if (c == '\\') {
        ++i;
      } else if (c == '"') {
        in_string = false;
      }
    } else if (c == '"') {
      in_string = true;
    } else if (c == '{' || c == '[') {
      if (++depth > kMaxDepth) {
        return true;
      }
    } else if (c == '}' || c == ']') {
      --depth;
    }
  }
  return false;
}

// "[json.exception.parse_error.101] parse error at line 1, ..." without the
// library's own number.
std::string Reason(const nlohmann::json::exception& error) {
  const absl::string_view what = error.what();
  const size_t end = what.find("] ");
  return OneLine(end == absl::string_view::npos ? what : what.substr(end + 2));
}

}  // namespace

absl::StatusOr<nlohmann::json> ParseJsonObject(absl::string_view text) {
  if (absl::StripAsciiWhitespace(text).empty()) {
    return absl::InvalidArgumentError("it is empty");
  }
  if (IsTooDeep(text)) {
    return absl::InvalidArgumentError(
        absl::StrCat("it nests deeper than ", kMaxDepth, " levels"));
  }
  try {
    nlohmann::json value = nlohmann::json::parse(text.begin(), text.end());
    if (!value.is_object()) {
      return absl::InvalidArgumentError(absl::StrCat(
          "it is JSON, but of type ", value.type_name(), " instead of object"));
    }
    return value;
  } catch (const nlohmann::json::exception& error) {
    return absl::InvalidArgumentError(
        absl::StrCat("it is not JSON: ", Reason(error)));
  }
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
