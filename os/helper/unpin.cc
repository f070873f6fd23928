// SPDX-License-Identifier: Apache-2.0
// quoll-helper unpin dir=D [keep-dir]
#include <dirent.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "os/helper/commands.h"
#include "os/helper/pins.h"
#include "os/helper/report.h"
#include "os/helper/unmount.h"

namespace quoll::helper {
namespace {

constexpr long kNsfsMagic = 0x6e736673;  // <linux/magic.h>
// A namespace dies once all its processes are dead; one that hangs in the
// kernel keeps it. The caller tries again later.
constexpr int kDeathTimeoutMs = 5000;

// True when the process is PID 1 of its PID namespace: the last number of
// "NSpid:" in its status (proc_pid_status(5)).
bool IsInitOfItsNamespace(const char* pid) {
  FILE* const status = fopen(Format("/proc/%s/status", pid), "re");
  if (status == nullptr) {
    return false;
  }
  char line[512];
  bool init = false;
  while (fgets(line, sizeof(line), status) != nullptr) {
    if (strncmp(line, "NSpid:", 6) == 0) {
      const char* const last = strrchr(line, '\t');
      init = last != nullptr && strcmp(last, "\t1\n") == 0;
      break;
    }
  }
  fclose(status);
  return init;
}

bool IsInNamespace(const char* pid, const struct stat& wanted) {
  struct stat info;
  return stat(Format("/proc/%s/ns/pid", pid), &info) == 0 &&
         info.st_dev == wanted.st_dev && info.st_ino == wanted.st_ino;
}

void Kill(const char* pid, const struct stat& wanted) {
  const int fd =
      static_cast<int>(syscall(SYS_pidfd_open, atoi(pid), 0));  // Linux 5.3
  if (fd < 0) {
    return;  // ended meanwhile
  }
  // Again, now that the descriptor is fixed: the pid may have been reused.
  if (IsInNamespace(pid, wanted) && IsInitOfItsNamespace(pid)) {
    if (syscall(SYS_pidfd_send_signal, fd, SIGKILL, nullptr, 0) != 0 &&
        errno != ESRCH) {
      FailErrno(errno, "kill PID 1 of the pod, process %s", pid);
    }
    struct pollfd ended = {fd, POLLIN, 0};
    if (poll(&ended, 1, kDeathTimeoutMs) == 0) {
      Fail(kUnavailable,
           "process %s, PID 1 of the pod, does not die of SIGKILL; something "
           "in the pod hangs in the kernel",
           pid);
    }
  }
  close(fd);
}

}  // namespace

bool IsPin(const char* path) {
  struct statfs info;
  return statfs(path, &info) == 0 && info.f_type == kNsfsMagic;
}

void KillPidNamespace(const char* path) {
  struct stat pinned;
  struct stat ours;
  if (!IsPin(path) || stat(path, &pinned) != 0 ||
      stat("/proc/self/ns/pid", &ours) != 0 ||
      (pinned.st_dev == ours.st_dev && pinned.st_ino == ours.st_ino)) {
    return;
  }
  DIR* const proc = opendir("/proc");
  if (proc == nullptr) {
    FailErrno(errno, "look for PID 1 of the pod: open /proc");
  }
  while (const dirent* entry = readdir(proc)) {
    const char* const name = entry->d_name;
    if (strspn(name, "0123456789") == strlen(name) &&
        IsInNamespace(name, pinned) && IsInitOfItsNamespace(name)) {
      Kill(name, pinned);
      break;
    }
  }
  closedir(proc);
}

void UnpinCommand(int count, char** arguments) {
  const char* dir = "";
  bool keep_dir = false;
  for (int i = 0; i < count; ++i) {
    if (const char* value = ValueOf(arguments[i], "dir")) {
      dir = value;
    } else if (IsKey(arguments[i], "keep-dir")) {
      keep_dir = true;
    } else {
      UnknownArgument("unpin", arguments[i]);
    }
  }
  if (*dir != '/') {
    Fail(kInvalidArgument, "unpin namespaces: \"%s\" is not absolute", dir);
  }
  KillPidNamespace(Format("%s/pid", dir));
  for (const char* const* name = kPinNames; *name != nullptr; ++name) {
    const char* const pin = Format("%s/%s", dir, *name);
    // Lazily: a pin holds no data, and somebody who has it open (a hanging CNI
    // plugin) must not keep the pod.
    if (const int error = UnmountAll(pin, true); error != 0) {
      FailErrno(error, "unmount the pin %s", pin);
    }
    if (unlink(pin) != 0 && errno != ENOENT && errno != ENOTDIR) {
      FailErrno(errno, "remove the pin %s", pin);
    }
  }
  if (!keep_dir && rmdir(dir) != 0 && errno != ENOENT) {
    FailErrno(errno, "remove the directory of pins %s", dir);
  }
}

}  // namespace quoll::helper
