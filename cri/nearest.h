// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"

namespace quoll::cri {

// The word of `known` that `word` was probably meant to be; nothing when none
// is near (edit distance of a third of its length, at least 2).
std::optional<std::string> Nearest(absl::string_view word,
                                   const std::vector<std::string>& known);

}  // namespace quoll::cri
