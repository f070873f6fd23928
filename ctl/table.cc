// SPDX-License-Identifier: Apache-2.0
#include "ctl/table.h"

#include <algorithm>
#include <array>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/strip.h"

namespace quoll::ctl {
namespace {

// One character of UTF-8 (RFC 3629) at the beginning of `text`.
struct Character {
  size_t bytes = 0;  // 0: this is none
  uint32_t value = 0;
};

Character Decode(absl::string_view text) {
  const auto byte = [text](size_t i) {
    return static_cast<unsigned char>(text[i]);
  };
  const unsigned char first = byte(0);
  if (first < 0x80) {
    return {1, first};
  }
  const size_t bytes = first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : 2;
  if (first < 0xc2 || first > 0xf4 || text.size() < bytes) {
    return {};
  }
  uint32_t value = first & (0x7fu >> bytes);
  for (size_t i = 1; i < bytes; ++i) {
    if ((byte(i) & 0xc0) != 0x80) {
      return {};
    }
    value = value << 6 | (byte(i) & 0x3fu);
  }
  // Longer than it has to be, a surrogate, or behind Unicode's end.
  constexpr std::array<uint32_t, 5> kLeast = {0, 0, 0x80, 0x800, 0x10000};
  const bool valid = value >= kLeast[bytes] && value <= 0x10ffff &&
                     (value < 0xd800 || value > 0xdfff);
  return valid ? Character{bytes, value} : Character{};
}

bool IsHarmless(uint32_t c) {
  const bool control = c < 0x20 || (c >= 0x7f && c < 0xa0);
  // Marks, embeddings, overrides and isolates of the bidirectional algorithm
  // (UAX 9), and the two separators that some terminals break lines at.
  const bool layout = c == 0x61c || c == 0x200e || c == 0x200f ||
                      (c >= 0x2028 && c <= 0x202e) ||
                      (c >= 0x2066 && c <= 0x2069);
  return !control && !layout;
}

// Bytes that begin a character of UTF-8 text.
size_t Width(absl::string_view cell) {
  return static_cast<size_t>(std::count_if(
      cell.begin(), cell.end(), [](char c) { return (c & 0xc0) != 0x80; }));
}

void AppendRow(const std::vector<std::string>& row,
               const std::vector<size_t>& widths, std::string& out) {
  for (size_t i = 0; i < row.size(); ++i) {
    const std::string cell = Printable(row[i]);
    out += cell;
    if (i + 1 < row.size()) {
      out.append(widths[i] - Width(cell) + 2, ' ');
    }
  }
  // An empty last cell leaves its gap behind; a line before is never touched.
  out.erase(out.find_last_not_of(' ') + 1);
  out += '\n';
}

}  // namespace

std::string Printable(absl::string_view text) {
  std::string out;
  out.reserve(text.size());
  while (!text.empty()) {
    const Character c = Decode(text);
    if (c.value == '\n' || c.value == '\t') {
      out += ' ';
    } else if (c.bytes == 0 || !IsHarmless(c.value)) {
      out += '?';
    } else {
      absl::StrAppend(&out, text.substr(0, c.bytes));
    }
    text.remove_prefix(std::max<size_t>(c.bytes, 1));
  }
  return out;
}

std::string FormatTable(const std::vector<std::string>& heading,
                        const std::vector<std::vector<std::string>>& rows) {
  std::vector<size_t> widths;
  widths.reserve(heading.size());
  for (const std::string& cell : heading) {
    widths.push_back(Width(cell));
  }
  for (const std::vector<std::string>& row : rows) {
    for (size_t i = 0; i < row.size(); ++i) {
      widths[i] = std::max(widths[i], Width(Printable(row[i])));
    }
  }
  std::string out;
  AppendRow(heading, widths, out);
  for (const std::vector<std::string>& row : rows) {
    AppendRow(row, widths, out);
  }
  return out;
}

std::string FormatAge(int64_t ns, absl::Time now) {
  if (ns == 0) {
    return "-";
  }
  const absl::Duration age =
      std::max(now - absl::FromUnixNanos(ns), absl::ZeroDuration());
  if (age < absl::Minutes(2)) {
    return absl::StrCat(absl::ToInt64Seconds(age), " s");
  }
  if (age < absl::Hours(2)) {
    return absl::StrCat(absl::ToInt64Minutes(age), " min");
  }
  if (age < absl::Hours(48)) {
    return absl::StrCat(absl::ToInt64Hours(age), " h");
  }
  return absl::StrCat(absl::ToInt64Hours(age) / 24, " d");
}

std::string FormatSize(uint64_t bytes) {
  constexpr std::array<const char*, 5> kUnits = {"KiB", "MiB", "GiB", "TiB",
                                                 "PiB"};
  if (bytes < 1024) {
    return absl::StrCat(bytes, " B");
  }
  double value = static_cast<double>(bytes) / 1024;
  size_t unit = 0;
  while (value >= 1024 && unit + 1 < kUnits.size()) {
    value /= 1024;
    ++unit;
  }
  return absl::StrFormat("%.1f %s", value, kUnits[unit]);
}

std::string ShortId(absl::string_view id) {
  absl::ConsumePrefix(&id, "sha256:");
  return std::string(id.substr(0, 12));
}

}  // namespace quoll::ctl
