// SPDX-License-Identifier: Apache-2.0
#include "image/bounded_json.h"

#include <exception>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"

namespace quoll::image {
namespace {

constexpr int kMaxDepth = 64;

// Counts brackets outside of strings, which is enough to bound what the parser
// will build; whether they match is the parser's business.
bool TooDeep(absl::string_view text) {
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

}  // namespace

absl::StatusOr<nlohmann::json> ParseBoundedJson(absl::string_view text,
                                                absl::string_view subject) {
  if (TooDeep(text)) {
    return absl::DataLossError(absl::StrCat(subject, ": JSON nested more than ",
                                            kMaxDepth, " levels deep"));
  }
  try {
    return nlohmann::json::parse(text.begin(), text.end());
  } catch (const std::exception& e) {
    // The parser's text quotes at most the token it stopped at; a token may be
    // as long as the document, so it is cut.
    return absl::DataLossError(absl::StrCat(
        subject,
        ": not valid JSON: ", absl::string_view(e.what()).substr(0, 200)));
  }
}

}  // namespace quoll::image
