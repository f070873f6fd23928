// SPDX-License-Identifier: Apache-2.0
#include "os/rooted_path.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"

#include "os/status_macros.h"

namespace quoll::os {
namespace {

// openat2(2) gives EAGAIN when a rename anywhere raced with a "..": a few
// repeats are enough unless somebody provokes it.
constexpr int kMaxLookupAttempts = 32;

absl::Status Errno(int error, absl::string_view step, absl::string_view path) {
  return absl::ErrnoToStatus(error,
                             absl::StrCat(step, " ", path, " in the root"));
}

}  // namespace

absl::StatusOr<UniqueFd> OpenInRoot(int root_fd, const std::string& path,
                                    uint64_t flags, uint64_t mode) {
  if (path.find('\0') != std::string::npos) {
    return absl::InvalidArgumentError("a path with a NUL byte in it");
  }
  struct open_how how = {};
  how.flags = flags | O_CLOEXEC;
  // Other than open(2), openat2(2) refuses a mode without O_CREAT.
  how.mode =
      (flags & O_CREAT) != 0 || (flags & O_TMPFILE) == O_TMPFILE ? mode : 0;
  how.resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS;
  // "" is the root itself, as "/" is; the kernel would say ENOENT.
  const char* name = path.empty() ? "/" : path.c_str();
  for (int attempt = 0;; ++attempt) {
    const long fd = ::syscall(SYS_openat2, root_fd, name, &how, sizeof(how));
    if (fd >= 0) {
      return UniqueFd(static_cast<int>(fd));
    }
    const bool again = errno == EAGAIN || errno == EINTR;
    if (!again || attempt >= kMaxLookupAttempts) {
      return Errno(errno, "open", name);
    }
  }
}

absl::StatusOr<std::string> ReadFileInRoot(int root_fd, const std::string& path,
                                           size_t max_bytes) {
  // O_PATH touches neither a FIFO nor a driver; only what proved to be a file
  // is opened to read, through the descriptor so that nobody can swap it.
  QUOLL_ASSIGN_OR_RETURN(const UniqueFd found,
                         OpenInRoot(root_fd, path, O_PATH));
  struct stat info;
  if (::fstat(found.get(), &info) != 0) {
    return Errno(errno, "stat", path);
  }
  if (!S_ISREG(info.st_mode)) {
    return absl::FailedPreconditionError(
        absl::StrCat("read ", path, " in the root: not a regular file"));
  }
  const absl::Status too_large = absl::ResourceExhaustedError(
      absl::StrCat("read ", path, " in the root: larger than the ", max_bytes,
                   " bytes allowed"));
  if (static_cast<uint64_t>(info.st_size) > max_bytes) {
    return too_large;
  }
  const std::string reopen = absl::StrCat("/proc/self/fd/", found.get());
  const UniqueFd fd(::open(reopen.c_str(), O_RDONLY | O_CLOEXEC | O_NOCTTY));
  if (!fd.valid()) {
    return Errno(errno, "open", path);
  }
  std::string content;
  content.reserve(static_cast<size_t>(info.st_size));
  std::vector<char> buffer(std::min<size_t>(max_bytes + 1, 64 << 10));
  while (true) {
    const ssize_t n = ::read(fd.get(), buffer.data(), buffer.size());
    if (n == 0) {
      return content;
    }
    if (n < 0) {
      if (errno == EINTR) {
        continue;
      }
      return Errno(errno, "read", path);
    }
    content.append(buffer.data(), static_cast<size_t>(n));
    if (content.size() > max_bytes) {  // it grew meanwhile
      return too_large;
    }
  }
}

absl::StatusOr<UniqueFd> MakeDirectoriesInRoot(int root_fd,
                                               const std::string& path,
                                               uint32_t mode) {
  constexpr uint64_t kFlags = O_PATH | O_DIRECTORY;
  QUOLL_ASSIGN_OR_RETURN(UniqueFd current, OpenInRoot(root_fd, "/", kFlags));
  // Each prefix is looked up from the root again: only so are ".." and absolute
  // symlinks in the middle what they are for a process inside.
  std::string prefix;
  for (const absl::string_view part :
       absl::StrSplit(path, '/', absl::SkipEmpty())) {
    absl::StrAppend(&prefix, "/", part);
    absl::StatusOr<UniqueFd> next = OpenInRoot(root_fd, prefix, kFlags);
    if (absl::IsNotFound(next.status())) {
      const std::string name(part);
      // mkdirat(2) does not follow a symlink of that name (EEXIST).
      const bool made = ::mkdirat(current.get(), name.c_str(), mode) == 0;
      if (!made && errno != EEXIST) {
        return Errno(errno, "create directory", prefix);
      }
      next = OpenInRoot(root_fd, prefix, kFlags);
      if (made && next.ok()) {
        // mkdir(2) has subtracted the umask. An O_PATH descriptor takes no
        // fchmod(2), its name in /proc does.
        const std::string link = absl::StrCat("/proc/self/fd/", next->get());
        if (::chmod(link.c_str(), mode) != 0) {
          return Errno(errno, "chmod", prefix);
        }
      }
    }
    if (!next.ok()) {
      return next.status();
    }
    current = *std::move(next);
  }
  return current;
}

}  // namespace quoll::os
