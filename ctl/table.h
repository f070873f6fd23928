// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"

// How quollctl shows things to people. Pure.
namespace quoll::ctl {

// The text without what could move a terminal's cursor, change its state or
// show words in another order than they stand: names and errors come from
// images and containers. Control characters (C0, DEL, C1), Unicode's
// bidirectional controls and line separators, and what is no UTF-8 become '?';
// line ends and tabs become blanks.
std::string Printable(absl::string_view text);

// Rows under a heading, columns aligned, two blanks between them, no blanks at
// line ends; all cells Printable.
std::string FormatTable(const std::vector<std::string>& heading,
                        const std::vector<std::vector<std::string>>& rows);

// "12 s", "5 min", "3 h", "2 d" since `ns`; "-" for 0, "0 s" for the future.
std::string FormatAge(int64_t ns, absl::Time now);

// "512 B", "4.0 MiB".
std::string FormatSize(uint64_t bytes);

// The 12 digits that people type of an id, or of "sha256:<hex>".
std::string ShortId(absl::string_view id);

}  // namespace quoll::ctl
