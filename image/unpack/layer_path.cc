// SPDX-License-Identifier: Apache-2.0
#include "image/unpack/layer_path.h"

#include <limits.h>

namespace quoll::unpack {

Error CleanPath(std::string_view name, std::string* path) {
  path->clear();
  const std::string_view whole = name;
  while (!name.empty()) {
    const size_t slash = name.find('/');
    const std::string_view part = name.substr(0, slash);
    name.remove_prefix(slash == name.npos ? name.size() : slash + 1);
    if (part.empty() || part == ".") {
      continue;
    }
    if (part == "..") {
      return Error(Code::kInvalidArgument,
                   "member " + Quoted(whole) + " has '..' in its name");
    }
    if (part.size() > NAME_MAX || part.find('\0') != part.npos) {
      return Error(
          Code::kInvalidArgument,
          "member " + Quoted(whole) + " has a name that no file can have");
    }
    *path = JoinPath(*path, part);
  }
  if (path->size() >= PATH_MAX) {
    return Error(Code::kInvalidArgument,
                 "member " + Quoted(whole) + " has too long a name");
  }
  return {};
}

std::pair<std::string_view, std::string_view> SplitPath(std::string_view path) {
  const size_t slash = path.rfind('/');
  if (slash == path.npos) {
    return {std::string_view(), path};
  }
  return {path.substr(0, slash), path.substr(slash + 1)};
}

std::string JoinPath(std::string_view dir, std::string_view name) {
  std::string path(dir);
  if (!path.empty()) {
    path += '/';
  }
  return path += name;
}

}  // namespace quoll::unpack
