// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "absl/strings/string_view.h"

namespace quoll::os {

// `bytes` random bytes of getrandom(2) in lower-case hex. 32 bytes give the 64
// digits that CRI clients know as an id.
std::string RandomHexId(size_t bytes = 32);

// True for 1..64 lower-case hex digits: what an id, or a prefix of one, is.
bool IsHexId(absl::string_view text);

}  // namespace quoll::os
