// SPDX-License-Identifier: Apache-2.0
#include "os/json.h"

#include <exception>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"

#include "os/utf8.h"

namespace quoll::os {
namespace {

constexpr int kMaxDepth = 64;
constexpr size_t kMaxReasonBytes = 200;

// Counts brackets outside of strings, which is enough to bound what the parser
// will build; whether they match is the parser's business.
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
// library's own number, and cut: it quotes the token at which it stopped, which
// may be as long as the document.
std::string Reason(const std::exception& error) {
  absl::string_view what = error.what();
  const size_t end = what.find("] ");
  if (end != absl::string_view::npos) {
    what.remove_prefix(end + 2);
  }
  std::string reason = ToUtf8(what.substr(0, kMaxReasonBytes));
  for (char& c : reason) {
    if (absl::ascii_iscntrl(static_cast<unsigned char>(c))) {
      c = ' ';
    }
  }
  return reason;
}

}  // namespace

absl::StatusOr<nlohmann::json> ParseJson(absl::string_view text) {
  if (absl::StripAsciiWhitespace(text).empty()) {
    return absl::InvalidArgumentError("it is empty");
  }
  if (IsTooDeep(text)) {
    return absl::InvalidArgumentError(
        absl::StrCat("it nests deeper than ", kMaxDepth, " levels"));
  }
  try {
    return nlohmann::json::parse(text.begin(), text.end());
  } catch (const std::exception& error) {
    return absl::InvalidArgumentError(
        absl::StrCat("it is not JSON: ", Reason(error)));
  }
}

}  // namespace quoll::os
