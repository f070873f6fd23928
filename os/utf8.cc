// SPDX-License-Identifier: Apache-2.0
#include "os/utf8.h"

#include <cstddef>

#include "absl/strings/str_cat.h"

namespace quoll::os {
namespace {

constexpr absl::string_view kReplacement = "\xEF\xBF\xBD";  // U+FFFD

bool IsBetween(char byte, unsigned low, unsigned high) {
  const auto value = static_cast<unsigned char>(byte);
  return value >= low && value <= high;
}

// How many bytes the character at the beginning of `text` has; 0 when there is
// none.
size_t CharacterBytes(absl::string_view text) {
  const auto lead = static_cast<unsigned char>(text[0]);
  if (lead < 0x80) {
    return 1;
  }
  size_t bytes = 0;
  unsigned low = 0x80;  // what the second byte may be
  unsigned high = 0xBF;
  if (IsBetween(text[0], 0xC2, 0xDF)) {
    bytes = 2;
  } else if (IsBetween(text[0], 0xE0, 0xEF)) {
    bytes = 3;
    low = lead == 0xE0 ? 0xA0 : low;
    high = lead == 0xED ? 0x9F : high;
  } else if (IsBetween(text[0], 0xF0, 0xF4)) {
    bytes = 4;
    low = lead == 0xF0 ? 0x90 : low;
    high = lead == 0xF4 ? 0x8F : high;
  }
  if (bytes == 0 || text.size() < bytes || !IsBetween(text[1], low, high)) {
    return 0;
  }
  for (size_t i = 2; i < bytes; ++i) {
    if (!IsBetween(text[i], 0x80, 0xBF)) {
      return 0;
    }
  }
  return bytes;
}

}  // namespace

bool IsUtf8(absl::string_view text) {
  while (!text.empty()) {
    const size_t bytes = CharacterBytes(text);
    if (bytes == 0) {
      return false;
    }
    text.remove_prefix(bytes);
  }
  return true;
}

std::string ToUtf8(absl::string_view text) {
  std::string out;
  out.reserve(text.size());
  while (!text.empty()) {
    const size_t bytes = CharacterBytes(text);
    absl::StrAppend(&out, bytes == 0 ? kReplacement : text.substr(0, bytes));
    text.remove_prefix(bytes == 0 ? 1 : bytes);
  }
  return out;
}

}  // namespace quoll::os
