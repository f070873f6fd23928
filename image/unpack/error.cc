// SPDX-License-Identifier: Apache-2.0
#include "image/unpack/error.h"

#include <errno.h>
#include <string.h>

#include <cstdio>

namespace quoll::unpack {
namespace {

Code CodeOfErrno(int error) {
  switch (error) {
    case ENOSPC:
    case EDQUOT:
    case EMFILE:
    case ENFILE:
    case ENOMEM:
    case EMLINK:
      return Code::kResourceExhausted;
    case EPERM:
    case EACCES:
      return Code::kPermissionDenied;
    case EROFS:
    case ENOTSUP:
    case ENOSYS:
    case EEXIST:
      return Code::kFailedPrecondition;
    case ENAMETOOLONG:
    case EINVAL:
    case ENOTDIR:
    case ELOOP:
    case E2BIG:
      return Code::kInvalidArgument;
    case EIO:
      return Code::kUnavailable;
    default:
      return Code::kInternal;
  }
}

}  // namespace

Error Error::FromErrno(int error, const std::string& what) {
  char buffer[128];
  // The GNU variant (g++ defines _GNU_SOURCE): the result may or may not be
  // the buffer.
  return Error(CodeOfErrno(error),
               what + ": " + strerror_r(error, buffer, sizeof(buffer)));
}

std::string Quoted(std::string_view name) {
  constexpr size_t kMaxShown = 200;
  std::string shown = "\"";
  for (const char c : name) {
    if (shown.size() > kMaxShown) {
      shown += "...";
      break;
    }
    const auto byte = static_cast<unsigned char>(c);
    if (byte >= 0x20 && byte < 0x7f && c != '"' && c != '\\') {
      shown += c;
      continue;
    }
    char escaped[8];
    snprintf(escaped, sizeof(escaped), "\\x%02x", byte);
    shown += escaped;
  }
  shown += '"';
  return shown;
}

}  // namespace quoll::unpack
