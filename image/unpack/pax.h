// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "image/unpack/error.h"

namespace quoll::unpack {

// A piece of a sparse file that has bytes in the archive.
struct Extent {
  uint64_t offset = 0;
  uint64_t size = 0;
};

// What the extended headers (pax "x" and "g") in front of a member say about
// it. Keys that do not matter for a layer are dropped while parsing.
struct PaxRecords {
  std::optional<std::string> path;
  std::optional<std::string> link_path;
  std::optional<uint64_t> size;
  std::optional<uint64_t> uid;
  std::optional<uint64_t> gid;
  struct Time {
    int64_t seconds = 0;
    int64_t nanoseconds = 0;
  };
  std::optional<Time> mtime;
  std::map<std::string, std::string> xattrs;  // SCHILY.xattr.NAME

  // GNU.sparse.*: versions 0.0 and 0.1 have the map here, 1.0 in the data.
  std::optional<std::string> sparse_name;
  std::optional<uint64_t> sparse_real_size;
  std::optional<uint64_t> sparse_major;
  std::optional<uint64_t> sparse_minor;
  std::vector<Extent> sparse_map;
  bool has_sparse_map = false;
};

// Adds the records of one extended header, "LENGTH KEY=VALUE\n" each (POSIX.1
// pax, "pax Extended Header"); a later one wins, an empty value takes a record
// back. kInvalidArgument for one that is malformed.
Error ParsePax(std::string_view text, PaxRecords* records);

// A decimal number, nothing else.
Error ParseDecimal(std::string_view text, uint64_t* value);

}  // namespace quoll::unpack
