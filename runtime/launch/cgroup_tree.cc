// SPDX-License-Identifier: Apache-2.0
#include "runtime/launch/cgroup_tree.h"

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <set>
#include <utility>

#include "absl/algorithm/container.h"
#include "absl/cleanup/cleanup.h"
#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "absl/time/clock.h"
#include "absl/types/span.h"

#include "os/annotate.h"
#include "os/files.h"
#include "os/mount.h"
#include "os/process.h"
#include "os/status_macros.h"

namespace quoll::runtime {
namespace {

// The controllers of cgroups(7). The super block's options also hold words that
// are none (xattr, release_agent=, clone_children), so they are told by name.
constexpr absl::string_view kV1Controllers[] = {
    "blkio",   "cpu",        "cpuacct", "cpuset",  "devices",
    "freezer", "hugetlb",    "memory",  "net_cls", "net_prio",
    "pids",    "perf_event", "rdma",    "misc",
};

// What containers get limits from on v2. Others (rdma, misc) stay as the node's
// admin has them.
constexpr absl::string_view kV2Controllers[] = {"cpu",    "cpuset", "io",
                                                "memory", "pids",   "hugetlb"};

std::vector<std::string> ControllersOf(absl::string_view super_options) {
  std::vector<std::string> found;
  for (absl::string_view word : absl::StrSplit(super_options, ',')) {
    if (absl::c_linear_search(kV1Controllers, word) ||
        absl::StartsWith(word, "name=")) {
      found.emplace_back(word);
    }
  }
  return found;
}

// "/" would be every process of the node, and ".." could leave the subtree.
absl::Status CheckPath(const std::string& path) {
  const std::vector<absl::string_view> parts =
      absl::StrSplit(absl::StripPrefix(path, "/"), '/');
  const bool clean =
      absl::StartsWith(path, "/") && absl::c_all_of(parts, [](auto part) {
        return !part.empty() && part != "." && part != "..";
      });
  if (!clean || path.find('\0') != std::string::npos) {
    return absl::InvalidArgumentError(
        absl::StrCat("cgroup \"", path,
                     "\": expected an absolute path below the root, without "
                     "empty, \".\" or \"..\" components"));
  }
  return absl::OkStatus();
}

bool IsDirectoryEntry(int dir_fd, const dirent& entry) {
  if (entry.d_type != DT_UNKNOWN) {
    return entry.d_type == DT_DIR;
  }
  struct stat info;
  return fstatat(dir_fd, entry.d_name, &info, AT_SYMLINK_NOFOLLOW) == 0 &&
         S_ISDIR(info.st_mode);
}

// Appends the directories in `dir`; nothing when it is gone.
absl::Status AppendSubdirectories(const std::string& dir,
                                  std::vector<std::string>& out) {
  DIR* stream = opendir(dir.c_str());
  if (stream == nullptr) {
    return errno == ENOENT
               ? absl::OkStatus()
               : absl::ErrnoToStatus(errno, absl::StrCat("open cgroup ", dir));
  }
  absl::Cleanup close = [stream] { closedir(stream); };
  for (;;) {
    errno = 0;
    const dirent* entry = readdir(stream);
    if (entry == nullptr) {
      // ENOENT: rmdir'ed between opendir and here.
      return errno == 0 || errno == ENOENT
                 ? absl::OkStatus()
                 : absl::ErrnoToStatus(errno,
                                       absl::StrCat("read cgroup ", dir));
    }
    const absl::string_view name = entry->d_name;
    if (name != "." && name != ".." &&
        IsDirectoryEntry(dirfd(stream), *entry)) {
      out.push_back(absl::StrCat(dir, "/", name));
    }
  }
}

// `top` and every directory below it, parents before children. No recursion: a
// container that owns its cgroup chooses the depth.
absl::StatusOr<std::vector<std::string>> Walk(const std::string& top) {
  std::vector<std::string> dirs;
  if (!os::Exists(top)) {
    return dirs;
  }
  dirs.push_back(top);
  for (size_t i = 0; i < dirs.size(); ++i) {
    const std::string dir = dirs[i];
    QUOLL_RETURN_IF_ERROR(AppendSubdirectories(dir, dirs));
  }
  return dirs;
}

absl::Status AppendProcesses(const std::string& dir, std::set<pid_t>& pids) {
  absl::StatusOr<std::string> text = os::ReadFile(dir + "/cgroup.procs");
  if (!text.ok()) {
    // Two harmless cases: removed since it was found (ENOENT, or ENODEV on an
    // open file), and a threaded v2 cgroup, whose processes are listed in its
    // domain above (EOPNOTSUPP).
    return !os::Exists(dir) || absl::IsNotFound(text.status()) ||
                   absl::IsUnimplemented(text.status()) ||
                   absl::StrContains(text.status().message(), "not supported")
               ? absl::OkStatus()
               : text.status();
  }
  for (absl::string_view line :
       absl::StrSplit(*text, '\n', absl::SkipEmpty())) {
    pid_t pid = 0;
    // 0 is a process of a PID namespace that we cannot see into.
    if (absl::SimpleAtoi(line, &pid) && pid > 0) {
      pids.insert(pid);
    }
  }
  return absl::OkStatus();
}

// A cpuset without CPUs or memory nodes takes no process (cpuset(7)), and v1
// starts every new one that way.
absl::Status InheritCpuset(const std::string& parent, const std::string& dir) {
  for (const char* file : {"/cpuset.cpus", "/cpuset.mems"}) {
    QUOLL_ASSIGN_OR_RETURN(std::string own, os::ReadFile(dir + file));
    if (!absl::StripAsciiWhitespace(own).empty()) {
      continue;
    }
    QUOLL_ASSIGN_OR_RETURN(std::string above, os::ReadFile(parent + file));
    QUOLL_RETURN_IF_ERROR(os::WriteControlFile(
        dir + file, std::string(absl::StripAsciiWhitespace(above))));
  }
  return absl::OkStatus();
}

// Lets the children of `dir` have the controllers that `dir` has.
absl::Status EnableControllers(const std::string& dir) {
  QUOLL_ASSIGN_OR_RETURN(std::string available,
                         os::ReadFile(dir + "/cgroup.controllers"));
  QUOLL_ASSIGN_OR_RETURN(std::string enabled,
                         os::ReadFile(dir + "/cgroup.subtree_control"));
  const std::set<std::string> have =
      absl::StrSplit(absl::StripAsciiWhitespace(available), ' ');
  const std::set<std::string> on =
      absl::StrSplit(absl::StripAsciiWhitespace(enabled), ' ');
  for (absl::string_view name : kV2Controllers) {
    const std::string key(name);
    if (have.count(key) == 0 || on.count(key) != 0) {
      continue;
    }
    // One at a time, as one refusal (cpu with real-time processes about, any
    // of them in a cgroup that holds processes itself) refuses the whole
    // write. A controller that stays off is no error here: only a container
    // with a limit of that kind needs it, and then the OCI runtime names the
    // file that it misses.
    os::WriteControlFile(dir + "/cgroup.subtree_control",
                         absl::StrCat("+", name))
        .IgnoreError();
  }
  return absl::OkStatus();
}

absl::Status MakeCgroup(const std::string& dir) {
  if (mkdir(dir.c_str(), 0755) != 0 && errno != EEXIST) {
    return absl::ErrnoToStatus(errno, absl::StrCat("create cgroup ", dir));
  }
  return absl::OkStatus();
}

// One pass of rmdir over a subtree, children first; true when some cgroup still
// has processes.
absl::StatusOr<bool> RemovePass(const std::string& top) {
  QUOLL_ASSIGN_OR_RETURN(std::vector<std::string> dirs, Walk(top));
  bool busy = false;
  for (auto dir = dirs.rbegin(); dir != dirs.rend(); ++dir) {
    if (rmdir(dir->c_str()) == 0 || errno == ENOENT) {
      continue;
    }
    if (errno != EBUSY) {
      return absl::ErrnoToStatus(errno, absl::StrCat("remove cgroup ", *dir));
    }
    busy = true;
  }
  return busy;
}

// Sleeps 1 ms, then longer and longer up to 50 ms, never past the deadline.
class Backoff {
 public:
  explicit Backoff(absl::Time deadline) : deadline_(deadline) {}
  bool Wait() {
    const absl::Duration left = deadline_ - absl::Now();
    if (left <= absl::ZeroDuration()) {
      return false;
    }
    absl::SleepFor(std::min(next_, left));
    next_ = std::min(next_ * 2, absl::Milliseconds(50));
    return true;
  }

 private:
  absl::Time deadline_;
  absl::Duration next_ = absl::Milliseconds(1);
};

std::string SomePids(const std::vector<pid_t>& pids) {
  constexpr size_t kShown = 8;
  std::string text =
      absl::StrJoin(absl::MakeConstSpan(pids).subspan(0, kShown), ", ");
  if (pids.size() > kShown) {
    absl::StrAppend(&text, " and ", pids.size() - kShown, " more");
  }
  return text;
}

}  // namespace

absl::StatusOr<CgroupTree> CgroupTree::Detect(
    const std::string& mountinfo_text) {
  CgroupTree tree;
  Hierarchy v2;
  bool v2_is_the_root = false;
  for (const os::MountInfo& mount : os::ParseMountInfo(mountinfo_text)) {
    if (mount.fstype == "cgroup2") {
      if (v2.mount_point.empty() || mount.mount_point == "/sys/fs/cgroup") {
        v2 = {mount.mount_point, mount.root, {}};
      }
      v2_is_the_root |= mount.mount_point == "/sys/fs/cgroup";
      continue;
    }
    if (mount.fstype != "cgroup") {
      continue;
    }
    Hierarchy found{mount.mount_point, mount.root,
                    ControllersOf(mount.super_options)};
    auto same = absl::c_find_if(tree.hierarchies_, [&](const Hierarchy& h) {
      return h.controllers == found.controllers;
    });
    if (found.controllers.empty()) {
      continue;
    }
    if (same == tree.hierarchies_.end()) {
      tree.hierarchies_.push_back(std::move(found));
    } else if (same->root != "/" && found.root == "/") {
      // The same hierarchy twice: inside a container, say, its own part and
      // the host's. The whole one is where pods belong.
      *same = std::move(found);
    }
  }
  // A hybrid host has v2 beside v1, with no controller that containers need;
  // OCI runtimes take it for v1, but make their cgroups there too, so it is one
  // more hierarchy to be made, killed in and cleaned up. A v2 host may have
  // some v1 hierarchy mounted for old images (name=systemd): still v2.
  const bool v1_has_controllers =
      absl::c_any_of(tree.hierarchies_, [](const Hierarchy& h) {
        return !absl::StartsWith(h.controllers.front(), "name=");
      });
  if (v2_is_the_root || (!v2.mount_point.empty() && !v1_has_controllers)) {
    tree.v2_ = true;
    tree.hierarchies_ = {std::move(v2)};
  } else if (!v2.mount_point.empty()) {
    tree.hierarchies_.push_back(std::move(v2));
  }
  if (tree.hierarchies_.empty()) {
    return absl::FailedPreconditionError(
        "cgroups: no cgroup file system is mounted; mount cgroup2 on "
        "/sys/fs/cgroup");
  }
  return tree;
}

absl::Status CgroupTree::Create(const std::string& path) const {
  QUOLL_RETURN_IF_ERROR(CheckPath(path));
  const std::vector<std::string> parts =
      absl::StrSplit(path, '/', absl::SkipEmpty());
  for (const Hierarchy& hierarchy : hierarchies_) {
    const bool cpuset = absl::c_linear_search(hierarchy.controllers, "cpuset");
    std::string parent = hierarchy.mount_point;
    for (const std::string& part : parts) {
      const std::string dir = absl::StrCat(parent, "/", part);
      if (v2_) {
        QUOLL_RETURN_IF_ERROR(EnableControllers(parent));
      }
      QUOLL_RETURN_IF_ERROR(MakeCgroup(dir));
      if (cpuset) {
        QUOLL_RETURN_IF_ERROR(os::Annotate(InheritCpuset(parent, dir),
                                           absl::StrCat("cgroup ", dir)));
      }
      parent = dir;
    }
  }
  return absl::OkStatus();
}

absl::Status CgroupTree::Remove(const std::string& path,
                                absl::Time deadline) const {
  QUOLL_RETURN_IF_ERROR(CheckPath(path));
  absl::Status result;
  for (const Hierarchy& hierarchy : hierarchies_) {
    const std::string top = hierarchy.mount_point + path;
    // A process that was killed leaves its cgroup a little after its parent
    // could reap it, so "busy" is normal for some milliseconds.
    Backoff backoff(deadline);
    for (;;) {
      const absl::StatusOr<bool> busy = RemovePass(top);
      if (!busy.ok()) {
        result = os::FirstError(std::move(result), busy.status());
        break;
      }
      if (!*busy) {
        break;
      }
      if (!backoff.Wait()) {
        result = os::FirstError(
            std::move(result),
            absl::DeadlineExceededError(absl::StrCat(
                "remove cgroup ", top, ": it still has processes")));
        break;
      }
    }
  }
  return result;
}

bool CgroupTree::Exists(const std::string& path) const {
  return absl::c_any_of(hierarchies_, [&](const Hierarchy& hierarchy) {
    return os::Exists(hierarchy.mount_point + path);
  });
}

std::vector<std::string> CgroupTree::ProcsFiles(const std::string& path) const {
  std::vector<std::string> files;
  for (const Hierarchy& hierarchy : hierarchies_) {
    files.push_back(absl::StrCat(hierarchy.mount_point, path, "/cgroup.procs"));
  }
  return files;
}

absl::StatusOr<std::vector<pid_t>> CgroupTree::Processes(
    const std::string& path) const {
  QUOLL_RETURN_IF_ERROR(CheckPath(path));
  // All hierarchies: with v1 a process may have left some of them.
  std::set<pid_t> pids;
  for (const Hierarchy& hierarchy : hierarchies_) {
    QUOLL_ASSIGN_OR_RETURN(std::vector<std::string> dirs,
                           Walk(hierarchy.mount_point + path));
    for (const std::string& dir : dirs) {
      QUOLL_RETURN_IF_ERROR(AppendProcesses(dir, pids));
    }
  }
  return std::vector<pid_t>(pids.begin(), pids.end());
}

absl::Status CgroupTree::Kill(const std::string& path,
                              absl::Time deadline) const {
  QUOLL_RETURN_IF_ERROR(CheckPath(path));
  Backoff backoff(deadline);
  for (;;) {
    QUOLL_ASSIGN_OR_RETURN(std::vector<pid_t> pids, Processes(path));
    if (pids.empty()) {
      return absl::OkStatus();
    }
    if (absl::c_linear_search(pids, getpid())) {
      return absl::FailedPreconditionError(
          absl::StrCat("kill cgroup ", path,
                       ": this daemon itself is in it; give pods another "
                       "cgroup parent than the daemon's own"));
    }
    absl::Status killed = KillOnce(path, pids);
    if (!backoff.Wait()) {
      return os::FirstError(
          absl::DeadlineExceededError(absl::StrCat(
              "kill cgroup ", path, ": still running: ", SomePids(pids),
              "; a process in state D of ps waits for a disk or server")),
          killed);
    }
  }
}

absl::Status CgroupTree::KillOnce(const std::string& path,
                                  const std::vector<pid_t>& pids) const {
  if (v2_) {
    // Linux 5.14. Kills what forks meanwhile too, and frozen ones.
    const std::string file =
        absl::StrCat(hierarchies_.front().mount_point, path, "/cgroup.kill");
    if (os::Exists(file) && os::WriteControlFile(file, "1").ok()) {
      return absl::OkStatus();
    }
  }
  // Frozen processes cannot fork away from the list. On v1 a frozen process
  // dies only once it is thawed, so thawing must happen whatever goes wrong;
  // a paused container is thawed by it as well.
  absl::Status result = SetFrozen(path, true);
  // The identity was taken while the pid was in the list before and after:
  // it is a process of this cgroup, and a pid that is reused later does not
  // match its start time.
  std::vector<os::ProcessIdentity> found;
  for (const pid_t pid : pids) {
    absl::StatusOr<os::ProcessIdentity> identity = os::IdentifyProcess(pid);
    if (identity.ok()) {
      found.push_back(*identity);
    }
  }
  absl::StatusOr<std::vector<pid_t>> still = Processes(path);
  if (still.ok()) {
    for (const os::ProcessIdentity& identity : found) {
      if (!std::binary_search(still->begin(), still->end(), identity.pid)) {
        continue;
      }
      absl::StatusOr<os::Pidfd> process = os::Pidfd::Open(identity);
      if (process.ok()) {
        result = os::FirstError(std::move(result), process->Signal(SIGKILL));
      }
    }
  } else {
    result = os::FirstError(std::move(result), still.status());
  }
  return os::FirstError(std::move(result), SetFrozen(path, false));
}

absl::Status CgroupTree::SetFrozen(const std::string& path, bool frozen) const {
  const auto hierarchy =
      v2_ ? hierarchies_.begin()
          : absl::c_find_if(hierarchies_, [](const Hierarchy& h) {
              return absl::c_linear_search(h.controllers, "freezer");
            });
  if (hierarchy == hierarchies_.end()) {
    return absl::OkStatus();  // without a freezer, repetition must do
  }
  const std::string top = hierarchy->mount_point + path;
  const char* file = v2_ ? "/cgroup.freeze" : "/freezer.state";
  const char* value =
      v2_ ? (frozen ? "1" : "0") : (frozen ? "FROZEN" : "THAWED");
  std::vector<std::string> dirs{top};
  if (!frozen) {
    // Those below may have been frozen by themselves (a paused container).
    QUOLL_ASSIGN_OR_RETURN(dirs, Walk(top));
  }
  absl::Status result;
  for (const std::string& dir : dirs) {
    if (os::Exists(dir + file)) {
      absl::Status written = os::WriteControlFile(dir + file, value);
      if (!written.ok() && os::Exists(dir)) {
        result = os::FirstError(std::move(result), written);
      }
    }
  }
  return result;
}

}  // namespace quoll::runtime
