// SPDX-License-Identifier: Apache-2.0
#include "runtime/monitor/program/cgroup.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "runtime/monitor/program/files.h"
#include "runtime/monitor/program/mountinfo.h"

namespace quoll::runtime::monitor {
namespace {

// True when `name` is one of the comma-separated `list`.
bool Contains(const char* list, size_t list_size, const char* name) {
  const size_t name_size = strlen(name);
  const char* const end = list + list_size;
  while (list < end) {
    const void* comma = memchr(list, ',', static_cast<size_t>(end - list));
    const char* const stop =
        comma != nullptr ? static_cast<const char*>(comma) : end;
    if (static_cast<size_t>(stop - list) == name_size &&
        memcmp(list, name, name_size) == 0) {
      return true;
    }
    list = stop + 1;
  }
  return false;
}

bool ReadProcCgroup(pid_t pid, char* text) {
  Text<64> path;
  path.Add("/proc/").AddNumber(static_cast<uint64_t>(pid)).Add("/cgroup");
  return ReadFile(AT_FDCWD, path.c_str(), text, kCgroupFileSize) >= 0;
}

// The path of the hierarchy in the text of a /proc/PID/cgroup: the one with
// `controller` ("" is cgroup2), or for a mount's own list of names
// `super_options` the first line with a name of it. Ends the path in place.
bool FindPath(char* text, const char* controller, const char* super_options,
              const char** path) {
  for (char* line = text; line != nullptr && *line != '\0';) {
    char* const end = strchr(line, '\n');
    char* const names = strchr(line, ':');
    char* const colon = names != nullptr ? strchr(names + 1, ':') : nullptr;
    if (end == nullptr || colon == nullptr || colon > end) {
      return false;
    }
    const size_t size = static_cast<size_t>(colon - names - 1);
    bool match = false;
    if (super_options == nullptr) {
      match = controller[0] == '\0' ? size == 0
                                    : Contains(names + 1, size, controller);
    } else if (size > 0) {
      // The names of one hierarchy stay together: the first one tells.
      Text<128> first;
      const void* comma = memchr(names + 1, ',', size);
      first.Add(
          names + 1,
          comma != nullptr
              ? static_cast<size_t>(static_cast<const char*>(comma) - names - 1)
              : size);
      match = Contains(super_options, strlen(super_options), first.c_str());
    }
    if (match) {
      *end = '\0';
      *path = colon + 1;
      return true;
    }
    line = end + 1;
  }
  return false;
}

// Where `path` of the hierarchy is below the mount; false when the mount shows
// only another part of it.
bool Join(const Mountinfo& mount, const char* path, PathText* dir) {
  const size_t root_size =
      strcmp(mount.root(), "/") == 0 ? 0 : strlen(mount.root());
  if (strncmp(path, mount.root(), root_size) != 0 ||
      (path[root_size] != '/' && path[root_size] != '\0')) {
    return false;
  }
  dir->Clear();
  dir->Add(mount.mount_point()).Add(path + root_size);
  return dir->ok();
}

bool IsHierarchy(const Mountinfo& mount, const char* controller) {
  if (controller[0] == '\0') {
    return strcmp(mount.fstype(), "cgroup2") == 0;
  }
  return strcmp(mount.fstype(), "cgroup") == 0 &&
         Contains(mount.super_options(), strlen(mount.super_options()),
                  controller);
}

// Depth is bounded so that a container that builds a tower of cgroups costs
// little stack; what lies deeper is reached through the freezer or cgroup.kill.
constexpr int kMaxDepth = 24;

// One SIGKILL to everything in and below; counts what was there.
int KillPids(int dir_fd, int depth) {
  int found = 0;
  int fd = openat(dir_fd, "cgroup.procs", O_RDONLY | O_CLOEXEC);
  if (fd >= 0) {
    char buffer[4096];
    pid_t pid = 0;
    for (ssize_t got; (got = read(fd, buffer, sizeof(buffer))) > 0;) {
      for (ssize_t i = 0; i < got; ++i) {
        if (buffer[i] >= '0' && buffer[i] <= '9') {
          pid = pid * 10 + (buffer[i] - '0');
          continue;
        }
        // 0: a process of another PID namespace than ours.
        if (pid > 1 && pid != getpid()) {
          kill(pid, SIGKILL);
          ++found;
        }
        pid = 0;
      }
    }
    CloseFd(&fd);
  }
  const int list_fd = openat(dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  DIR* const list = list_fd >= 0 ? fdopendir(list_fd) : nullptr;
  if (list == nullptr || depth == 0) {
    if (list != nullptr) {
      closedir(list);
    } else if (list_fd >= 0) {
      close(list_fd);
    }
    return found;
  }
  while (const dirent* entry = readdir(list)) {
    if (entry->d_type == DT_DIR && entry->d_name[0] != '.') {
      int child = openat(dir_fd, entry->d_name,
                         O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
      if (child >= 0) {
        found += KillPids(child, depth - 1);
        CloseFd(&child);
      }
    }
  }
  closedir(list);
  return found;
}

}  // namespace

bool FindContainerCgroup(pid_t pid, const char* controller, PathText* dir) {
  static char theirs[kCgroupFileSize];
  static char ours[kCgroupFileSize];
  const char* path = nullptr;
  const char* our_path = nullptr;
  if (!ReadProcCgroup(pid, theirs) || !ReadProcCgroup(getpid(), ours) ||
      !FindPath(theirs, controller, nullptr, &path) ||
      !FindPath(ours, controller, nullptr, &our_path) ||
      strcmp(path, "/") == 0 || strcmp(path, our_path) == 0) {
    return false;
  }
  Mountinfo mounts;
  while (mounts.Next()) {
    if (IsHierarchy(mounts, controller) && Join(mounts, path, dir) &&
        access(dir->c_str(), F_OK) == 0) {
      return true;
    }
  }
  return false;
}

int JoinCgroups(pid_t pid, const char* except, PathText* failed) {
  static char text[kCgroupFileSize];
  Mountinfo mounts;
  while (mounts.Next()) {
    const char* path = nullptr;
    if (strcmp(mounts.fstype(), "cgroup") != 0 || IsHierarchy(mounts, except)) {
      continue;
    }
    // Read again for each: FindPath() cuts the text.
    if (!ReadProcCgroup(pid, text)) {
      return -ESRCH;
    }
    if (!FindPath(text, nullptr, mounts.super_options(), &path) ||
        !Join(mounts, path, failed)) {
      continue;
    }
    failed->Add("/cgroup.procs");
    const int error = WriteControl(AT_FDCWD, failed->c_str(), "0");
    if (error != 0) {
      return error;
    }
  }
  return 0;
}

CgroupState KillCgroup(const char* dir) {
  int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) {
    return CgroupState::kGone;
  }
  if (WriteControl(fd, "cgroup.kill", "1") != 0) {
    // Not waited for: FREEZING stops new forks well enough for the next pass.
    WriteControl(fd, "freezer.state", "FROZEN");
  }
  // Kills again where cgroup.kill did it already, and tells what is left.
  const int found = KillPids(fd, kMaxDepth);
  WriteControl(fd, "freezer.state", "THAWED");
  CloseFd(&fd);
  return found == 0 ? CgroupState::kEmpty : CgroupState::kPopulated;
}

void EvacuateCgroup(const char* dir) {
  int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) {
    return;
  }
  // A few rounds: a process may fork between reading and moving.
  for (int round = 0; round < 5; ++round) {
    char buffer[4096];
    int list = openat(fd, "cgroup.procs", O_RDONLY | O_CLOEXEC);
    const ssize_t size = list < 0 ? 0 : read(list, buffer, sizeof(buffer) - 1);
    CloseFd(&list);
    if (size <= 0) {
      break;
    }
    buffer[size] = '\0';
    for (char* line = buffer; *line != '\0';) {
      char* const end = strchr(line, '\n');
      if (end == nullptr) {
        break;
      }
      *end = '\0';
      WriteControl(fd, "../cgroup.procs", line);
      line = end + 1;
    }
  }
  CloseFd(&fd);
}

}  // namespace quoll::runtime::monitor
