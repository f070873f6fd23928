// SPDX-License-Identifier: Apache-2.0
#include "runtime/copy_tree.h"

#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/time/clock.h"

#include "os/annotate.h"
#include "os/status_macros.h"
#include "os/unique_fd.h"

namespace quoll::runtime {
namespace {

// One copy_file_range(2); between two of them the clock is looked at.
constexpr size_t kChunkBytes = size_t{8} << 20;

absl::Status Error(absl::string_view step) {
  const int error = errno;
  return absl::ErrnoToStatus(error, step);
}

absl::StatusOr<std::vector<std::string>> NamesIn(int fd) {
  // A descriptor of its own: fdopendir(3) takes it over, and its position.
  const int own = openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (own < 0) {
    return Error("open directory");
  }
  const std::unique_ptr<DIR, int (*)(DIR*)> dir(fdopendir(own), &closedir);
  if (dir == nullptr) {
    const absl::Status status = Error("read directory");
    close(own);
    return status;
  }
  std::vector<std::string> names;
  errno = 0;
  while (const dirent* entry = readdir(dir.get())) {
    const absl::string_view name = entry->d_name;
    if (name != "." && name != "..") {
      names.emplace_back(name);
    }
  }
  if (errno != 0) {
    return Error("read directory");
  }
  return names;
}

// Those that mean the same elsewhere: file capabilities, ACLs and the user's.
// "trusted.overlay.*" describe the layer that the source is in.
bool IsCopiedAttribute(absl::string_view name) {
  return name == "security.capability" || name.substr(0, 5) == "user." ||
         name.substr(0, 16) == "system.posix_acl";
}

absl::Status CopyAttributes(int from, int to) {
  const ssize_t size = flistxattr(from, nullptr, 0);
  if (size <= 0) {
    return size == 0 || errno == ENOTSUP ? absl::OkStatus()
                                         : Error("list attributes");
  }
  std::string names(static_cast<size_t>(size), '\0');
  const ssize_t listed = flistxattr(from, names.data(), names.size());
  if (listed < 0) {
    return Error("list attributes");
  }
  names.resize(static_cast<size_t>(listed));
  std::string value(XATTR_SIZE_MAX, '\0');
  for (size_t at = 0; at < names.size();) {
    const std::string name = names.c_str() + at;
    at += name.size() + 1;
    if (!IsCopiedAttribute(name)) {
      continue;
    }
    const ssize_t got =
        fgetxattr(from, name.c_str(), value.data(), value.size());
    if (got < 0 || fsetxattr(to, name.c_str(), value.data(),
                             static_cast<size_t>(got), 0) != 0) {
      return Error(absl::StrCat("copy attribute ", name));
    }
  }
  return absl::OkStatus();
}

// Owner before mode (chown(2) clears set-id bits) and before attributes (it
// removes file capabilities); times last.
absl::Status CopyMetadata(int from, const struct stat& info, int to) {
  if (fchown(to, info.st_uid, info.st_gid) != 0) {
    return Error("set owner");
  }
  if (fchmod(to, info.st_mode & 07777) != 0) {
    return Error("set mode");
  }
  QUOLL_RETURN_IF_ERROR(CopyAttributes(from, to));
  const std::array<struct timespec, 2> times = {info.st_atim, info.st_mtim};
  return futimens(to, times.data()) == 0 ? absl::OkStatus()
                                         : Error("set times");
}

class Copier {
 public:
  explicit Copier(const CopyLimits& limits) : limits_(limits) {}

  absl::Status Directory(int from, int to, int depth) {
    if (depth > limits_.max_depth) {
      return absl::ResourceExhaustedError(
          absl::StrCat("more than ", limits_.max_depth, " directories deep"));
    }
    struct stat info {};
    if (fstat(from, &info) != 0) {
      return Error("stat");
    }
    QUOLL_ASSIGN_OR_RETURN(const std::vector<std::string> names, NamesIn(from));
    for (const std::string& name : names) {
      QUOLL_RETURN_IF_ERROR(Count());
      QUOLL_RETURN_IF_ERROR(os::Annotate(Entry(from, name, to, depth), name));
    }
    return CopyMetadata(from, info, to);
  }

 private:
  absl::Status Count() {
    if (++entries_ > limits_.max_entries) {
      return absl::ResourceExhaustedError(
          absl::StrCat("more than ", limits_.max_entries, " files"));
    }
    return absl::Now() < limits_.deadline
               ? absl::OkStatus()
               : absl::DeadlineExceededError("takes too long");
  }

  absl::Status Entry(int from, const std::string& name, int to, int depth) {
    struct stat info {};
    if (fstatat(from, name.c_str(), &info, AT_SYMLINK_NOFOLLOW) != 0) {
      return Error("stat");
    }
    switch (info.st_mode & S_IFMT) {
      case S_IFDIR:
        return SubDirectory(from, name, to, depth);
      case S_IFLNK:
        return Link(from, name, info, to);
      case S_IFREG:
        return File(from, name, to);
      default:
        return absl::OkStatus();
    }
  }

  absl::Status SubDirectory(int from, const std::string& name, int to,
                            int depth) {
    constexpr int kFlags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
    const os::UniqueFd source(openat(from, name.c_str(), kFlags));
    if (!source.valid()) {
      return Error("open");
    }
    if (mkdirat(to, name.c_str(), 0700) != 0) {
      return Error("make directory");
    }
    const os::UniqueFd target(openat(to, name.c_str(), kFlags));
    if (!target.valid()) {
      return Error("open copy");
    }
    return Directory(source.get(), target.get(), depth + 1);
  }

  static absl::Status Link(int from, const std::string& name,
                           const struct stat& info, int to) {
    std::array<char, PATH_MAX> target{};
    const ssize_t size =
        readlinkat(from, name.c_str(), target.data(), target.size() - 1);
    if (size < 0) {
      return Error("read link");
    }
    if (symlinkat(target.data(), to, name.c_str()) != 0) {
      return Error("make link");
    }
    return fchownat(to, name.c_str(), info.st_uid, info.st_gid,
                    AT_SYMLINK_NOFOLLOW) == 0
               ? absl::OkStatus()
               : Error("set owner");
  }

  absl::Status File(int from, const std::string& name, int to) {
    // O_NONBLOCK: should it have become a FIFO since, open does not wait.
    const os::UniqueFd source(openat(
        from, name.c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
    if (!source.valid()) {
      return Error("open");
    }
    struct stat info {};
    if (fstat(source.get(), &info) != 0) {
      return Error("stat");
    }
    if (!S_ISREG(info.st_mode)) {
      return absl::OkStatus();
    }
    os::UniqueFd target(
        openat(to, name.c_str(),
               O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600));
    if (!target.valid()) {
      return Error("create");
    }
    QUOLL_RETURN_IF_ERROR(Bytes(source.get(), target.get()));
    QUOLL_RETURN_IF_ERROR(CopyMetadata(source.get(), info, target.get()));
    return target.Close();
  }

  absl::Status Bytes(int from, int to) {
    while (true) {
      ssize_t copied =
          copy_file_range(from, nullptr, to, nullptr, kChunkBytes, 0);
      if (copied < 0 && (errno == EXDEV || errno == EINVAL ||
                         errno == EOPNOTSUPP || errno == ENOSYS)) {
        // Between two file systems of different kinds (Linux 5.19).
        copied = ThroughBuffer(from, to);
      }
      if (copied < 0) {
        return Error("copy");
      }
      if (copied == 0) {
        return absl::OkStatus();
      }
      bytes_ += static_cast<uint64_t>(copied);
      if (bytes_ > limits_.max_bytes) {
        return absl::ResourceExhaustedError(
            absl::StrCat("more than ", limits_.max_bytes, " bytes"));
      }
      if (absl::Now() >= limits_.deadline) {
        return absl::DeadlineExceededError("takes too long");
      }
    }
  }

  // As one copy_file_range(2).
  ssize_t ThroughBuffer(int from, int to) {
    buffer_.resize(size_t{128} << 10);
    const ssize_t got = read(from, buffer_.data(), buffer_.size());
    for (ssize_t done = 0; done < got;) {
      const ssize_t put =
          write(to, buffer_.data() + done, static_cast<size_t>(got - done));
      if (put < 0) {
        return -1;
      }
      done += put;
    }
    return got;
  }

  const CopyLimits& limits_;
  size_t entries_ = 0;
  uint64_t bytes_ = 0;
  std::string buffer_;
};

}  // namespace

absl::Status CopyTree(int from_fd, int to_fd, const CopyLimits& limits) {
  return Copier(limits).Directory(from_fd, to_fd, 0);
}

}  // namespace quoll::runtime
