// SPDX-License-Identifier: Apache-2.0
#include "ctl/table.h"

#include <algorithm>
#include <array>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/strip.h"

namespace quoll::ctl {
namespace {

std::string Printable(std::string cell) {
  for (char& c : cell) {
    if (absl::ascii_iscntrl(c)) {
      c = '?';
    }
  }
  return cell;
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

std::string FormatTable(const std::vector<std::string>& heading,
                        const std::vector<std::vector<std::string>>& rows) {
  std::vector<size_t> widths;
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
