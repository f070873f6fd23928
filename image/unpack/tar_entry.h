// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <map>
#include <string>

namespace quoll::unpack {

// One member of an archive, its extensions applied. Names are as the archive
// has them: unchecked, except that they hold no NUL and at most 4095 bytes.
struct TarEntry {
  enum class Type {
    kFile,
    kHardLink,
    kSymlink,
    kCharDevice,
    kBlockDevice,
    kDirectory,
    kFifo,
  };

  Type type = Type::kFile;
  std::string name;
  std::string link_name;  // of links
  uint32_t mode = 0;      // permission bits, 07777
  uint64_t uid = 0;
  uint64_t gid = 0;
  uint64_t size_bytes = 0;  // of files; holes included
  int64_t mtime_seconds = 0;
  int64_t mtime_nanoseconds = 0;  // 0..999999999
  uint64_t device_major = 0;
  uint64_t device_minor = 0;
  std::map<std::string, std::string> xattrs;
};

}  // namespace quoll::unpack
