// SPDX-License-Identifier: Apache-2.0
// RemoveTree of os/files.h. The tree may be a container's: any depth, any
// names, symlinks and mounts anywhere.
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <memory>
#include <vector>

#include "absl/strings/str_cat.h"

#include "os/annotate.h"
#include "os/files.h"
#include "os/random_id.h"
#include "os/status_macros.h"

namespace quoll::os {
namespace {

// Directories held open at once. A deeper one is renamed up to the top of the
// tree and removed from there, so neither descriptors nor stack grow with the
// depth that a container has made.
constexpr size_t kMaxOpenDirectories = 64;
// A tree that cannot be removed may fail a million times; people read a few.
constexpr int kMaxReportedErrors = 3;

using DirStream = std::unique_ptr<DIR, int (*)(DIR*)>;

// Opens a directory that is no mount point and not behind a symlink.
// RESOLVE_NO_XDEV (Linux 5.6) refuses bind mounts too, before the mount is
// touched: a dead server below cannot hang us.
absl::StatusOr<DirStream> OpenChild(int parent, const char* name) {
  struct open_how how = {};
  how.flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
  how.resolve = RESOLVE_NO_XDEV | RESOLVE_NO_SYMLINKS | RESOLVE_BENEATH;
  long fd = 0;
  do {
    fd = ::syscall(SYS_openat2, parent, name, &how, sizeof(how));
  } while (fd < 0 && errno == EAGAIN);  // a rename raced with the lookup
  if (fd < 0) {
    if (errno == EXDEV) {
      return absl::FailedPreconditionError(
          "something is mounted there; unmount it first");
    }
    return absl::ErrnoToStatus(errno, "open directory");
  }
  UniqueFd owned(static_cast<int>(fd));
  DirStream stream(::fdopendir(owned.get()), &::closedir);
  if (stream == nullptr) {
    return absl::ErrnoToStatus(errno, "open directory");
  }
  (void)owned.Release();  // closedir() closes it
  return stream;
}

class TreeRemover {
 public:
  // Removes everything below `top`, which is `path` for messages.
  TreeRemover(DirStream top, std::string path) {
    stack_.push_back({std::move(top), std::move(path)});
  }

  absl::Status Run() {
    while (!stack_.empty()) {
      Step();
    }
    return std::move(status_);
  }

 private:
  struct Level {
    DirStream dir;
    std::string name;
    bool failed = false;  // something below could not be removed
  };

  void Step() {
    Level& level = stack_.back();
    errno = 0;
    const dirent* entry = ::readdir(level.dir.get());
    if (entry == nullptr) {
      if (errno != 0) {
        Report(absl::ErrnoToStatus(errno, "read directory"), "");
      }
      Leave();
      return;
    }
    const std::string name = entry->d_name;
    if (name == "." || name == "..") {
      return;
    }
    if (entry->d_type != DT_DIR) {
      if (Unlink(name, 0) != EISDIR) {
        return;
      }
    }
    Enter(name);
  }

  // Returns the errno, having reported it unless the caller can go on.
  int Unlink(const std::string& name, int flags) {
    if (::unlinkat(Fd(), name.c_str(), flags) == 0 || errno == ENOENT) {
      return 0;
    }
    const int error = errno;
    if (error == EBUSY) {
      Report(absl::FailedPreconditionError(
                 "something is mounted there; unmount it first"),
             name);
    } else if (error != EISDIR) {
      Report(absl::ErrnoToStatus(error, "remove"), name);
    }
    return error;
  }

  void Enter(const std::string& name) {
    if (stack_.size() >= kMaxOpenDirectories && MoveToTop(name)) {
      return;
    }
    absl::StatusOr<DirStream> child = OpenChild(Fd(), name.c_str());
    if (!child.ok()) {
      if (!absl::IsNotFound(child.status())) {
        Report(child.status(), name);
      }
      return;
    }
    stack_.push_back({*std::move(child), name});
  }

  bool MoveToTop(const std::string& name) {
    const std::string unique = absl::StrCat(".removing-", RandomHexId(8));
    if (::renameat(Fd(), name.c_str(), ::dirfd(stack_.front().dir.get()),
                   unique.c_str()) != 0) {
      return false;  // descends instead: costs a descriptor, nothing else
    }
    moved_ = true;
    return true;
  }

  void Leave() {
    if (stack_.size() == 1) {
      if (moved_) {  // there is new work at the top
        moved_ = false;
        ::rewinddir(stack_.front().dir.get());
        return;
      }
      stack_.pop_back();
      return;
    }
    Level done = std::move(stack_.back());
    stack_.pop_back();
    // Closed first: an open directory that is removed becomes an orphan, which
    // costs the file system two more journal entries.
    done.dir.reset();
    if (done.failed) {
      stack_.back().failed = true;  // ENOTEMPTY would say nothing new
    } else {
      Unlink(done.name, AT_REMOVEDIR);
    }
  }

  int Fd() const { return ::dirfd(stack_.back().dir.get()); }

  void Report(const absl::Status& error, absl::string_view name) {
    stack_.back().failed = true;
    if (++errors_ > kMaxReportedErrors) {
      return;
    }
    std::string path;
    for (const Level& level : stack_) {
      absl::StrAppend(&path, path.empty() ? "" : "/", level.name);
    }
    if (!name.empty()) {
      absl::StrAppend(&path, "/", name);
    }
    status_ = FirstError(std::move(status_), Annotate(error, path));
  }

  std::vector<Level> stack_;
  bool moved_ = false;
  int errors_ = 0;
  absl::Status status_;
};

}  // namespace

absl::Status RemoveTree(const std::string& path) {
  std::string trimmed = path;
  while (trimmed.size() > 1 && trimmed.back() == '/') {
    trimmed.pop_back();
  }
  const size_t slash = trimmed.rfind('/');
  const std::string name =
      slash == std::string::npos ? trimmed : trimmed.substr(slash + 1);
  if (name.empty() || name == "." || name == "..") {
    return absl::InvalidArgumentError(
        absl::StrCat("remove \"", path, "\": not the name of a tree"));
  }
  const std::string parent_path =
      slash == std::string::npos ? "." : trimmed.substr(0, slash + 1);
  const UniqueFd parent(
      ::open(parent_path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!parent.valid()) {
    if (errno == ENOENT) {
      return absl::OkStatus();
    }
    return absl::ErrnoToStatus(errno, absl::StrCat("open ", parent_path));
  }
  if (::unlinkat(parent.get(), name.c_str(), 0) == 0 || errno == ENOENT) {
    return absl::OkStatus();
  }
  if (errno != EISDIR) {
    return absl::ErrnoToStatus(errno, absl::StrCat("remove ", trimmed));
  }
  absl::StatusOr<DirStream> top = OpenChild(parent.get(), name.c_str());
  if (!top.ok()) {
    return Annotate(top.status(), absl::StrCat("remove ", trimmed));
  }
  QUOLL_RETURN_IF_ERROR(Annotate(TreeRemover(*std::move(top), trimmed).Run(),
                                 absl::StrCat("remove ", trimmed)));
  if (::unlinkat(parent.get(), name.c_str(), AT_REMOVEDIR) != 0 &&
      errno != ENOENT) {
    return absl::ErrnoToStatus(errno, absl::StrCat("remove ", trimmed));
  }
  return absl::OkStatus();
}

}  // namespace quoll::os
