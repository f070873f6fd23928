// SPDX-License-Identifier: Apache-2.0
#include "os/mount.h"

#include <algorithm>
#include <cstddef>

#include "absl/strings/numbers.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "absl/strings/string_view.h"

namespace quoll::os {
namespace {

bool IsOctal(char c) {
  return c >= '0' && c <= '7';
}

// The kernel writes space, tab, line feed, backslash and '#' as three octal
// digits (seq_path, mangle); anything else after a backslash is itself.
std::string Unescape(absl::string_view text) {
  std::string plain;
  plain.reserve(text.size());
  for (size_t i = 0; i < text.size(); ++i) {
    const absl::string_view code = text.substr(i + 1, 3);
    if (text[i] == '\\' && code.size() == 3 && code[0] <= '3' &&
        std::all_of(code.begin(), code.end(), IsOctal)) {
      plain.push_back(static_cast<char>((code[0] - '0') * 64 +
                                        (code[1] - '0') * 8 + (code[2] - '0')));
      i += 3;
    } else {
      plain.push_back(text[i]);
    }
  }
  return plain;
}

// 36 35 98:0 /mnt1 /mnt2 rw,noatime master:1 - ext3 /dev/root rw,errors=x
// (1)(2)(3)  (4)   (5)   (6)        (7)... (8) (9)  (10)      (11)
bool ParseLine(absl::string_view line, MountInfo& info) {
  const std::vector<absl::string_view> fields = absl::StrSplit(line, ' ');
  constexpr size_t kOptionalFields = 6;
  const auto optional = fields.begin() + static_cast<std::ptrdiff_t>(std::min(
                                             fields.size(), kOptionalFields));
  const auto end = std::find(optional, fields.end(), "-");
  // After the separator: type, source (which may be empty), super options.
  if (fields.end() - end < 4 || !absl::SimpleAtoi(fields[0], &info.id)) {
    return false;
  }
  info.root = Unescape(fields[3]);
  info.mount_point = Unescape(fields[4]);
  info.options = std::string(fields[5]);
  info.optional_fields = absl::StrJoin(optional, end, " ");
  info.fstype = Unescape(*(end + 1));
  info.source = Unescape(*(end + 2));
  info.super_options = Unescape(*(end + 3));
  return true;
}

}  // namespace

std::vector<MountInfo> ParseMountInfo(const std::string& text) {
  std::vector<MountInfo> mounts;
  for (const absl::string_view line : absl::StrSplit(text, '\n')) {
    MountInfo info;
    if (ParseLine(line, info)) {
      mounts.push_back(std::move(info));
    }
  }
  return mounts;
}

std::vector<std::string> MountPointsUnder(std::vector<std::string> mount_points,
                                          absl::string_view prefix) {
  while (!prefix.empty() && prefix.back() == '/') {
    prefix.remove_suffix(1);
  }
  const auto outside = [prefix](absl::string_view path) {
    return path.substr(0, prefix.size()) != prefix ||
           (path.size() > prefix.size() && path[prefix.size()] != '/');
  };
  mount_points.erase(
      std::remove_if(mount_points.begin(), mount_points.end(), outside),
      mount_points.end());
  // '/' is not the least of all bytes, but a path still sorts after each of its
  // parents, being longer. So backwards means deepest first.
  std::sort(mount_points.begin(), mount_points.end(), std::greater<>());
  mount_points.erase(std::unique(mount_points.begin(), mount_points.end()),
                     mount_points.end());
  return mount_points;
}

}  // namespace quoll::os
