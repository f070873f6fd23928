// SPDX-License-Identifier: Apache-2.0
#include "image/unpack/confine.h"

#include <errno.h>
#include <linux/capability.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstdint>

namespace quoll::unpack {
namespace {

// Two threads' stacks and heaps, a zstd window (128 MiB at most) and the names
// of some millions of directories.
constexpr rlim_t kMaxMemory = rlim_t{1} << 30;

#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define QUOLL_SANITIZED 1
#endif
#endif
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define QUOLL_SANITIZED 1
#endif

// SYS_ADMIN is what trusted.overlay.opaque asks for (xattr(7)).
constexpr uint32_t kKept = 1u << CAP_CHOWN | 1u << CAP_DAC_OVERRIDE |
                           1u << CAP_DAC_READ_SEARCH | 1u << CAP_FOWNER |
                           1u << CAP_FSETID | 1u << CAP_SYS_ADMIN |
                           1u << CAP_MKNOD | 1u << CAP_SETFCAP;

Error DropCapabilities() {
  __user_cap_header_struct header = {_LINUX_CAPABILITY_VERSION_3, 0};
  __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3] = {};
  if (syscall(SYS_capget, &header, data) != 0) {
    return Error::FromErrno(errno, "read own capabilities");
  }
  data[0].effective = data[0].permitted &= kKept;
  data[1].effective = data[1].permitted = 0;
  data[0].inheritable = data[1].inheritable = 0;
  if (syscall(SYS_capset, &header, data) != 0) {
    return Error::FromErrno(errno, "drop capabilities");
  }
  return {};
}

Error Limit(__rlimit_resource resource, rlim_t value, const char* step) {
  const rlimit limit = {value, value};
  return setrlimit(resource, &limit) == 0 ? Error()
                                          : Error::FromErrno(errno, step);
}

}  // namespace

Error Confine(int root_fd) {
  umask(0);
  if (fchdir(root_fd) != 0 || chroot(".") != 0) {
    return Error::FromErrno(errno, "enter the layer's directory (needs root)");
  }
  QUOLL_RETURN_IF_ERROR(Limit(RLIMIT_CORE, 0, "forbid core dumps"));
#ifndef QUOLL_SANITIZED  // sanitizers reserve terabytes
  QUOLL_RETURN_IF_ERROR(Limit(RLIMIT_AS, kMaxMemory, "limit own memory"));
#endif
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 ||
      prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0) {
    return Error::FromErrno(errno, "give up privileges");
  }
  return DropCapabilities();
}

}  // namespace quoll::unpack
