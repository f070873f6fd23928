// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"

// How quollctl shows things to people. Pure.
namespace quoll::ctl {

// Rows under a heading, columns aligned, two blanks between them, no blanks at
// line ends. Control characters in cells (names come from strangers) become
// '?', so that no cell can move the terminal's cursor.
std::string FormatTable(const std::vector<std::string>& heading,
                        const std::vector<std::vector<std::string>>& rows);

// "12 s", "5 min", "3 h", "2 d" since `ns`; "-" for 0, "0 s" for the future.
std::string FormatAge(int64_t ns, absl::Time now);

// "512 B", "4.0 MiB".
std::string FormatSize(uint64_t bytes);

// The 12 digits that people type of an id, or of "sha256:<hex>".
std::string ShortId(absl::string_view id);

}  // namespace quoll::ctl
