// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "image/unpack/error.h"

namespace quoll::unpack {

constexpr size_t kTarBlockBytes = 512;

// The 512 bytes in front of a member, in any of the dialects that are around:
// v7, ustar (POSIX.1-1988), GNU and star. Views point into the block.
struct TarHeader {
  char type = 0;
  std::string name;  // with the prefix of ustar and star
  std::string link_name;
  uint64_t mode = 0;
  uint64_t uid = 0;
  uint64_t gid = 0;
  uint64_t size = 0;
  int64_t mtime = 0;
  uint64_t device_major = 0;
  uint64_t device_minor = 0;
};

// kInvalidArgument when the checksum or a number is wrong. `block` has 512
// bytes.
Error ParseTarHeader(std::string_view block, TarHeader* header);

// A numeric field: octal with blanks or NULs around it, or base-256 (first bit
// set, a GNU extension).
Error ParseTarNumber(std::string_view field, int64_t* value);
// As above; negative numbers are refused.
Error ParseTarNumber(std::string_view field, uint64_t* value);

// True when all bytes are zero: two such blocks end an archive.
bool IsZeroBlock(std::string_view block);

}  // namespace quoll::unpack
