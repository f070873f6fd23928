// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "absl/strings/string_view.h"

// Words of other programs end up in records, answers and JSON, and all three
// want UTF-8: one stray byte can make a whole message unreadable.
namespace quoll::os {

// By the table of RFC 3629: no overlong forms, no surrogates, nothing past
// U+10FFFF.
bool IsUtf8(absl::string_view text);

// The text with U+FFFD in the place of each byte that belongs to no character.
std::string ToUtf8(absl::string_view text);

}  // namespace quoll::os
