// SPDX-License-Identifier: Apache-2.0
#include "os/files.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <memory>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/str_cat.h"

#include "os/annotate.h"
#include "os/random_id.h"
#include "os/status_macros.h"

namespace quoll::os {
namespace {

constexpr size_t kReadChunk = 64 << 10;

absl::Status Errno(int error, absl::string_view step, absl::string_view path) {
  return absl::ErrnoToStatus(error, absl::StrCat(step, " ", path));
}

std::string ParentOf(const std::string& path) {
  const size_t slash = path.find_last_not_of('/') == std::string::npos
                           ? std::string::npos
                           : path.rfind('/', path.find_last_not_of('/'));
  if (slash == std::string::npos) {
    return path.empty() || path.front() != '/' ? "." : "/";
  }
  return slash == 0 ? "/" : path.substr(0, slash);
}

absl::StatusOr<UniqueFd> CreateTemporary(const std::string& path, mode_t mode) {
  UniqueFd fd(::open(path.c_str(),
                     O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC,
                     mode));
  if (!fd.valid()) {
    return Errno(errno, "create", path);
  }
  // open(2) subtracted the umask; `mode` is what the caller asked for.
  if (::fchmod(fd.get(), mode) != 0) {
    const int error = errno;
    ::unlink(path.c_str());
    return Errno(error, "chmod", path);
  }
  return fd;
}

// What differs between a file that must survive a power cut and one that not.
enum class Durability { kNone, kSynced };

absl::Status Replace(const std::string& path, absl::string_view data,
                     mode_t mode, Durability durability) {
  // In the same directory, so that rename(2) never leaves the file system. The
  // name is random: two writers of one path do not share a temporary.
  const std::string temporary = absl::StrCat(path, ".tmp-", RandomHexId(8));
  QUOLL_ASSIGN_OR_RETURN(UniqueFd fd, CreateTemporary(temporary, mode));
  auto remove = absl::MakeCleanup([&] { ::unlink(temporary.c_str()); });
  if (absl::Status s = WriteAll(fd.get(), data); !s.ok()) {
    return Annotate(s, absl::StrCat("write ", temporary));
  }
  if (durability == Durability::kSynced && ::fsync(fd.get()) != 0) {
    return Errno(errno, "fsync", temporary);
  }
  if (absl::Status s = fd.Close(); !s.ok()) {
    return Annotate(s, temporary);
  }
  if (::rename(temporary.c_str(), path.c_str()) != 0) {
    return Errno(errno, absl::StrCat("rename ", temporary, " to"), path);
  }
  std::move(remove).Cancel();
  return durability == Durability::kSynced ? SyncDirectory(ParentOf(path))
                                           : absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::string> ReadFile(const std::string& path,
                                     size_t max_bytes) {
  const UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd.valid()) {
    return Errno(errno, "open", path);
  }
  // st_size is 0 on procfs and cgroupfs, so it is only read until the end.
  std::string content;
  while (true) {
    const size_t old_size = content.size();
    content.resize(old_size + kReadChunk);
    const ssize_t n = ::read(fd.get(), content.data() + old_size, kReadChunk);
    if (n < 0 && errno != EINTR) {
      return Errno(errno, "read", path);
    }
    content.resize(old_size + static_cast<size_t>(std::max<ssize_t>(n, 0)));
    if (content.size() > max_bytes) {
      return absl::ResourceExhaustedError(absl::StrCat(
          "read ", path, ": larger than the ", max_bytes, " bytes allowed"));
    }
    if (n == 0) {
      return content;
    }
  }
}

absl::Status WriteFileAtomically(const std::string& path,
                                 absl::string_view data, mode_t mode) {
  return Replace(path, data, mode, Durability::kSynced);
}

absl::Status ReplaceFile(const std::string& path, absl::string_view data,
                         mode_t mode) {
  return Replace(path, data, mode, Durability::kNone);
}

absl::Status WriteControlFile(const std::string& path, absl::string_view data) {
  const UniqueFd fd(::open(path.c_str(), O_WRONLY | O_CLOEXEC));
  if (!fd.valid()) {
    return Errno(errno, "open", path);
  }
  // One write: the kernel takes each write(2) as one complete command.
  ssize_t n = 0;
  do {
    n = ::write(fd.get(), data.data(), data.size());
  } while (n < 0 && errno == EINTR);
  if (n < 0) {
    return Errno(errno, absl::StrCat("write \"", data, "\" to"), path);
  }
  if (static_cast<size_t>(n) != data.size()) {
    return absl::InternalError(absl::StrCat("write \"", data, "\" to ", path,
                                            ": the kernel took only ", n,
                                            " bytes"));
  }
  return absl::OkStatus();
}

absl::Status MakeDirectories(const std::string& path, mode_t mode) {
  for (size_t end = 0; end != std::string::npos;) {
    end = path.find('/', end == 0 ? 1 : end + 1);
    const std::string prefix = path.substr(0, end);
    if (prefix.empty() || ::mkdir(prefix.c_str(), mode) == 0) {
      continue;
    }
    const int error = errno;
    struct stat info;
    // A parent on a read-only file system answers EROFS although it exists.
    if (::stat(prefix.c_str(), &info) != 0) {
      return Errno(error, "create directory", prefix);
    }
    if (!S_ISDIR(info.st_mode)) {
      return Errno(ENOTDIR, "create directory", prefix);
    }
  }
  return absl::OkStatus();
}

absl::StatusOr<std::vector<std::string>> ListDirectory(
    const std::string& path) {
  const std::unique_ptr<DIR, int (*)(DIR*)> dir(::opendir(path.c_str()),
                                                &::closedir);
  if (dir == nullptr) {
    return Errno(errno, "open directory", path);
  }
  std::vector<std::string> names;
  while (true) {
    errno = 0;
    const dirent* entry = ::readdir(dir.get());
    if (entry == nullptr) {
      if (errno != 0) {
        return Errno(errno, "read directory", path);
      }
      break;
    }
    const absl::string_view name = entry->d_name;
    if (name != "." && name != "..") {
      names.emplace_back(name);
    }
  }
  std::sort(names.begin(), names.end());
  return names;
}

absl::Status SyncDirectory(const std::string& path) {
  const UniqueFd fd(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!fd.valid()) {
    return Errno(errno, "open directory", path);
  }
  if (::fsync(fd.get()) != 0) {
    return Errno(errno, "fsync directory", path);
  }
  return absl::OkStatus();
}

bool Exists(const std::string& path) {
  return ::faccessat(AT_FDCWD, path.c_str(), F_OK, AT_EACCESS) == 0;
}

absl::Status WriteAll(int fd, absl::string_view data) {
  while (!data.empty()) {
    const ssize_t n = ::write(fd, data.data(), data.size());
    if (n < 0) {
      if (errno == EINTR) {
        continue;
      }
      return absl::ErrnoToStatus(errno, "write");
    }
    data.remove_prefix(static_cast<size_t>(n));
  }
  return absl::OkStatus();
}

}  // namespace quoll::os
