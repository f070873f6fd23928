// SPDX-License-Identifier: Apache-2.0
#include "image/unpack/directories.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <string>
#include <utility>

#include "image/unpack/layer_path.h"
#include "image/unpack/scoped_fd.h"

namespace quoll::unpack {
namespace {

constexpr int kMaxLinks = 40;  // MAXSYMLINKS of the kernel

// openat2(2) with the walls that hold for every lookup in a layer. glibc 2.36
// has no wrapper.
int OpenBeneath(int root_fd, const std::string& path, uint64_t flags) {
  open_how how = {};
  how.flags = flags | O_CLOEXEC;
  how.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS |
                RESOLVE_NO_XDEV;
  return static_cast<int>(syscall(SYS_openat2, root_fd,
                                  path.empty() ? "." : path.c_str(), &how,
                                  sizeof(how)));
}

Error ReadLink(int dir_fd, const std::string& name, std::string* target) {
  target->resize(PATH_MAX);
  const ssize_t size =
      readlinkat(dir_fd, name.c_str(), target->data(), target->size());
  if (size < 0) {
    return Error::FromErrno(errno, "read symlink " + Quoted(name));
  }
  target->resize(static_cast<size_t>(size));
  return {};
}

// The components of `path` on top of `todo`, the first one last.
void PushComponents(std::string_view path, std::vector<std::string>* todo) {
  while (!path.empty()) {
    const auto [dir, name] = SplitPath(path);
    if (!name.empty() && name != ".") {
      todo->emplace_back(name);
    }
    // SplitPath("/x") has an empty directory, as "x" has.
    path = dir;
  }
}

}  // namespace

bool IsWhiteout(const struct stat& status) {
  return S_ISCHR(status.st_mode) && status.st_rdev == makedev(0, 0);
}

Directories::Directories(int root_fd) : root_fd_(root_fd) {
  all_.emplace("", State());
}

Directories::~Directories() {
  if (cached_fd_ >= 0) {
    close(cached_fd_);
  }
}

Error Directories::Open(const std::string& path, int* fd) const {
  *fd = OpenBeneath(root_fd_, path, O_RDONLY | O_DIRECTORY);
  return *fd >= 0 ? Error()
                  : Error::FromErrno(errno, "open directory " + Quoted(path));
}

Error Directories::Resolve(const std::string& path, std::string* canonical,
                           int* fd) {
  if (cached_fd_ < 0 || cached_stale_ || cached_path_ != path) {
    if (cached_fd_ >= 0) {
      close(std::exchange(cached_fd_, -1));
    }
    cached_canonical_ = path;
    cached_fd_ = OpenBeneath(root_fd_, path, O_PATH | O_DIRECTORY);
    if (cached_fd_ < 0) {
      if (errno != ENOENT && errno != ENOTDIR && errno != ELOOP) {
        return Error::FromErrno(errno, "open directory " + Quoted(path));
      }
      QUOLL_RETURN_IF_ERROR(Walk(path, &cached_canonical_));
      cached_fd_ =
          OpenBeneath(root_fd_, cached_canonical_, O_PATH | O_DIRECTORY);
      if (cached_fd_ < 0) {
        return Error::FromErrno(errno,
                                "open directory " + Quoted(cached_canonical_));
      }
    }
    cached_path_ = path;
    cached_stale_ = false;
  }
  *canonical = cached_canonical_;
  *fd = cached_fd_;
  return {};
}

// One component at a time: makes what is missing and follows symlinks. The last
// directory stays open, so the cost grows with the depth and not its square.
Error Directories::Walk(const std::string& path, std::string* canonical) {
  int links_followed = 0;
  std::vector<std::string> todo;
  PushComponents(path, &todo);
  canonical->clear();
  ScopedFd here;  // *canonical, when it is open
  while (!todo.empty()) {
    const std::string name = std::move(todo.back());
    todo.pop_back();
    if (name == "..") {  // of a symlink; stays inside, as in a chroot
      *canonical = std::string(SplitPath(*canonical).first);
      here = ScopedFd();
      continue;
    }
    if (!here.valid()) {
      here = ScopedFd(OpenBeneath(root_fd_, *canonical, O_PATH | O_DIRECTORY));
      if (!here.valid()) {
        return Error::FromErrno(errno, "open directory " + Quoted(*canonical));
      }
    }
    const std::string next = JoinPath(*canonical, name);
    if (next.size() >= PATH_MAX) {
      return Error(Code::kInvalidArgument,
                   "directory " + Quoted(path) + " has too long a name");
    }
    std::string link;
    QUOLL_RETURN_IF_ERROR(Enter(here.get(), next, &link));
    if (link.empty()) {
      here = ScopedFd(OpenBeneath(here.get(), name, O_PATH | O_DIRECTORY));
      *canonical = next;
      continue;
    }
    if (++links_followed > kMaxLinks) {
      return Error::FromErrno(ELOOP, "look up " + Quoted(path));
    }
    PushComponents(link, &todo);
    if (link[0] == '/') {
      canonical->clear();
      here = ScopedFd();
    }
  }
  return {};
}

// Makes sure that `path` is a directory, unless it is a symlink: `*link` is its
// target then.
Error Directories::Enter(int parent_fd, const std::string& path,
                         std::string* link) {
  const std::string name(SplitPath(path).second);
  struct stat status = {};
  if (fstatat(parent_fd, name.c_str(), &status, AT_SYMLINK_NOFOLLOW) != 0) {
    return errno == ENOENT
               ? Make(parent_fd, path, /*implied=*/true, /*over=*/false)
               : Error::FromErrno(errno, "look up " + Quoted(path));
  }
  if (S_ISDIR(status.st_mode)) {
    return {};
  }
  if (S_ISLNK(status.st_mode)) {
    return ReadLink(parent_fd, name, link);
  }
  if (!IsWhiteout(status)) {
    return Error(Code::kInvalidArgument,
                 Quoted(path) + " is a parent of a member but no directory");
  }
  QUOLL_RETURN_IF_ERROR(Remove(parent_fd, path));
  return Make(parent_fd, path, /*implied=*/true, /*over=*/true);
}

Error Directories::Make(int parent_fd, const std::string& path, bool implied,
                        bool over) {
  const std::string name(SplitPath(path).second);
  if (mkdirat(parent_fd, name.c_str(), 0755) != 0) {
    return Error::FromErrno(errno, "make directory " + Quoted(path));
  }
  // The parent may have the set-group-ID bit, which a new directory inherits
  // together with the group (inode(7)); here nothing is inherited.
  if (fchownat(parent_fd, name.c_str(), 0, 0, AT_SYMLINK_NOFOLLOW) != 0 ||
      fchmodat(parent_fd, name.c_str(), 0755, 0) != 0) {
    return Error::FromErrno(errno, "set owner and mode of " + Quoted(path));
  }
  all_[path] = State{implied, {}};
  // A directory in the place of something else of the same layer (a whiteout,
  // say): what lower layers have there was removed before it was made.
  return over ? MakeOpaque(path) : Error();
}

void Directories::Claim(const std::string& path, timespec mtime) {
  all_[path] = State{false, mtime};
}

Error Directories::MakeOpaque(const std::string& path) {
  // By path: fsetxattr(2) does not take O_PATH descriptors. The working
  // directory is the layer's root, and canonical paths have no symlinks.
  if (lsetxattr(path.empty() ? "." : path.c_str(), "trusted.overlay.opaque",
                "y", 1, 0) != 0) {
    return Error::FromErrno(errno, "make " + Quoted(path) + " opaque");
  }
  return {};
}

Error Directories::Remove(int parent_fd, const std::string& path) {
  // The caller goes on using the cached descriptor, but its name may lead
  // somewhere else from now on (through a symlink that is being replaced).
  cached_stale_ = true;
  const std::string name(SplitPath(path).second);
  if (unlinkat(parent_fd, name.c_str(), 0) == 0 || errno == ENOENT) {
    return {};
  }
  if (errno != EISDIR) {
    return Error::FromErrno(errno, "replace " + Quoted(path));
  }
  // Every directory here was made by us, so there is no need to search for
  // them. Those below `path` are "path/" up to, but not including, "path0"
  // ('0' follows '/'); backwards, children come before parents.
  const auto end = all_.lower_bound(path + '0');
  auto at = end;
  const auto begin = all_.lower_bound(path + '/');
  while (at != begin) {
    --at;
    QUOLL_RETURN_IF_ERROR(RemoveOne(at->first));
  }
  all_.erase(begin, end);
  QUOLL_RETURN_IF_ERROR(RemoveOne(path));
  all_.erase(path);
  return {};
}

// A directory with nothing but files in it.
Error Directories::RemoveOne(const std::string& path) {
  int fd = -1;
  QUOLL_RETURN_IF_ERROR(Open(path, &fd));
  DIR* const dir = fdopendir(fd);
  if (dir == nullptr) {
    const int error = errno;
    close(fd);
    return Error::FromErrno(error, "read directory " + Quoted(path));
  }
  Error error;
  while (const dirent* const item = readdir(dir)) {
    const std::string_view name = item->d_name;
    if (name != "." && name != ".." &&
        unlinkat(dirfd(dir), item->d_name, 0) != 0) {
      error = Error::FromErrno(errno, "remove " + Quoted(JoinPath(path, name)));
      break;
    }
  }
  closedir(dir);
  if (error.ok() && unlinkat(root_fd_, path.c_str(), AT_REMOVEDIR) != 0) {
    error = Error::FromErrno(errno, "remove directory " + Quoted(path));
  }
  return error;
}

}  // namespace quoll::unpack
