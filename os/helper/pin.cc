// SPDX-License-Identifier: Apache-2.0
// quoll-helper pin dir=D [net] [ipc] [uts] [hostname=H] [sysctl=NAME=VALUE]...
//     [pause=PROGRAM [cgroup=PROCS_FILE]...]
// With pause it prints "PID START_TIME" of the process.
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "os/helper/commands.h"
#include "os/helper/pins.h"
#include "os/helper/report.h"
#include "os/helper/sysctl.h"
#include "os/helper/unmount.h"

namespace quoll::helper {
namespace {

struct Request {
  const char* dir = "";
  NewNamespaces namespaces;
  const char* hostname = "";
  const char** sysctls = nullptr;  // "name=value"
  int sysctl_count = 0;
  const char* pause = nullptr;
  const char** cgroups = nullptr;
  int cgroup_count = 0;
};

// What Undo() takes back.
const char* made_pins[sizeof(kPinNames) / sizeof(kPinNames[0])];
int made_count = 0;
pid_t pause_pid = 0;

void Undo() {
  if (pause_pid > 0) {
    kill(pause_pid, SIGKILL);
    waitpid(pause_pid, nullptr, 0);
  }
  for (int i = 0; i < made_count; ++i) {
    UnmountAll(made_pins[i], true);
    unlink(made_pins[i]);
  }
}

Request Parse(int count, char** arguments) {
  Request request;
  const size_t bytes = static_cast<size_t>(count + 1) * sizeof(char*);
  request.sysctls = static_cast<const char**>(Allocate(bytes));
  request.cgroups = static_cast<const char**>(Allocate(bytes));
  for (int i = 0; i < count; ++i) {
    if (const char* value = ValueOf(arguments[i], "dir")) {
      request.dir = value;
    } else if (IsKey(arguments[i], "net")) {
      request.namespaces.net = true;
    } else if (IsKey(arguments[i], "ipc")) {
      request.namespaces.ipc = true;
    } else if (IsKey(arguments[i], "uts")) {
      request.namespaces.uts = true;
    } else if (const char* value = ValueOf(arguments[i], "hostname")) {
      request.hostname = value;
    } else if (const char* value = ValueOf(arguments[i], "sysctl")) {
      request.sysctls[request.sysctl_count++] = value;
    } else if (const char* value = ValueOf(arguments[i], "pause")) {
      request.pause = value;
    } else if (const char* value = ValueOf(arguments[i], "cgroup")) {
      request.cgroups[request.cgroup_count++] = value;
    } else {
      UnknownArgument("pin", arguments[i]);
    }
  }
  if (*request.dir != '/') {
    Fail(kInvalidArgument, "pin namespaces: \"%s\" is not absolute",
         request.dir);
  }
  if (*request.hostname != '\0' && !request.namespaces.uts) {
    Fail(kInvalidArgument,
         "pin namespaces in %s: a hostname needs a UTS namespace of its own",
         request.dir);
  }
  return request;
}

// The file that `name` is pinned on; its undo is registered before it exists.
const char* MakePinFile(const Request& request, const char* name) {
  const char* const pin = Format("%s/%s", request.dir, name);
  if (IsPin(pin)) {
    Fail(kAlreadyExists, "pin namespaces in %s: %s is pinned already",
         request.dir, name);
  }
  made_pins[made_count++] = pin;
  const int fd = open(pin, O_RDONLY | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0444);
  if (fd < 0) {
    FailErrno(errno, "pin namespaces in %s: create %s", request.dir, pin);
  }
  close(fd);
  return pin;
}

// No propagation is set here: the pin is seen in other mount namespaces just
// when the mount that `dir` is on says so.
void Pin(const Request& request, const char* name, const char* source) {
  const char* const pin = MakePinFile(request, name);
  if (mount(source, pin, nullptr, MS_BIND, nullptr) != 0) {
    FailErrno(errno, "pin namespaces in %s: bind %s on %s", request.dir, source,
              pin);
  }
}

void BringUpLoopback(const Request& request) {
  const int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  struct ifreq lo = {};
  strcpy(lo.ifr_name, "lo");
  if (fd < 0 || ioctl(fd, SIOCGIFFLAGS, &lo) != 0) {
    FailErrno(errno, "pin namespaces in %s: look at loopback", request.dir);
  }
  lo.ifr_flags |= IFF_UP;  // IFF_RUNNING follows by itself
  if (ioctl(fd, SIOCSIFFLAGS, &lo) != 0) {
    FailErrno(errno, "pin namespaces in %s: bring up loopback", request.dir);
  }
  close(fd);
}

void MakeNamespaces(const Request& request) {
  const NewNamespaces& wanted = request.namespaces;
  auto* const sysctls = static_cast<Sysctl*>(
      Allocate(sizeof(Sysctl) * static_cast<size_t>(request.sysctl_count)));
  for (int i = 0; i < request.sysctl_count; ++i) {  // before any effect
    sysctls[i] = ParseSysctl(request.sysctls[i], wanted);
  }
  const int flags = (wanted.net ? CLONE_NEWNET : 0) |
                    (wanted.ipc ? CLONE_NEWIPC : 0) |
                    (wanted.uts ? CLONE_NEWUTS : 0);
  if (flags != 0 && unshare(flags) != 0) {
    FailErrno(errno, "pin namespaces in %s: unshare", request.dir);
  }
  if (wanted.net) {
    BringUpLoopback(request);
  }
  if (*request.hostname != '\0' &&
      sethostname(request.hostname, strlen(request.hostname)) != 0) {
    FailErrno(errno, "pin namespaces in %s: set hostname \"%s\"", request.dir,
              request.hostname);
  }
  for (int i = 0; i < request.sysctl_count; ++i) {
    WriteSysctl(sysctls[i]);
  }
  if (wanted.net) {
    Pin(request, "net", "/proc/self/ns/net");
  }
  if (wanted.ipc) {
    Pin(request, "ipc", "/proc/self/ns/ipc");
  }
  if (wanted.uts) {
    Pin(request, "uts", "/proc/self/ns/uts");
  }
}

// What the child that becomes pause says when it cannot.
struct PauseFailure {
  int error;
  char step[256];
};

[[noreturn]] void FailPause(int answer, const char* step, const char* object) {
  PauseFailure failure = {};
  failure.error = errno;
  snprintf(failure.step, sizeof(failure.step), "%s %s", step, object);
  [[maybe_unused]] const ssize_t written =
      write(answer, &failure, sizeof(failure));
  _exit(1);
}

// In the child, PID 1 of the new namespace. It executes only once everything is
// pinned: when this program is killed before, `go` ends and so does the child.
[[noreturn]] void BecomePause(const Request& request, int go, int answer) {
  // What pause waits for is blocked before it executes: the kernel drops a
  // signal that the PID 1 of a namespace neither handles nor blocks.
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGCHLD);
  sigaddset(&signals, SIGINT);
  sigaddset(&signals, SIGTERM);
  if (sigprocmask(SIG_SETMASK, &signals, nullptr) != 0 || setsid() < 0) {
    FailPause(answer, "prepare", "signals and session");
  }
  const int null_fd = open("/dev/null", O_RDWR | O_CLOEXEC);
  for (int fd = 0; fd < 3; ++fd) {
    if (null_fd < 0 || dup2(null_fd, fd) < 0) {
      FailPause(answer, "open", "/dev/null");
    }
  }
  for (int i = 0; i < request.cgroup_count; ++i) {
    const int fd = open(request.cgroups[i], O_WRONLY | O_CLOEXEC);
    if (fd < 0 || write(fd, "0", 1) != 1) {
      FailPause(answer, "join the cgroup of", request.cgroups[i]);
    }
    close(fd);
  }
  char word = 0;
  ssize_t length = 0;
  do {
    length = read(go, &word, 1);
  } while (length < 0 && errno == EINTR);
  if (length != 1) {
    _exit(1);
  }
  char name[] = "quoll-pause";
  char* const argv[] = {name, nullptr};
  char* const env[] = {nullptr};
  execve(request.pause, argv, env);
  FailPause(answer, "execute", request.pause);
}

// Field 22 of /proc/<pid>/stat, the name's parentheses skipped.
unsigned long long StartTimeOf(const Request& request, pid_t pid) {
  FILE* const file = fopen(Format("/proc/%d/stat", pid), "re");
  char line[1024] = "";
  unsigned long long start = 0;
  const char* rest = nullptr;
  if (file != nullptr) {
    if (fgets(line, sizeof(line), file) != nullptr) {
      rest = strrchr(line, ')');
    }
    fclose(file);
  }
  if (rest == nullptr ||
      sscanf(rest,
             ") %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d "
             "%*d %*d %*d %*d %llu",
             &start) != 1) {
    Fail(kInternal, "pin namespaces in %s: read the start time of process %d",
         request.dir, pid);
  }
  return start;
}

// Waits for the child's exec, which closes its end, or for its complaint.
void AwaitExec(const Request& request, int answer) {
  PauseFailure failure = {};
  ssize_t length = 0;
  do {
    length = read(answer, &failure, sizeof(failure));
  } while (length < 0 && errno == EINTR);
  if (length == sizeof(failure)) {
    FailErrno(failure.error, "pin namespaces in %s: start pause: %s",
              request.dir, failure.step);
  }
  int status = 0;
  if (length != 0 || waitpid(pause_pid, &status, WNOHANG) != 0) {
    Fail(kInternal, "pin namespaces in %s: pause ended at once", request.dir);
  }
}

void StartPause(const Request& request) {
  int go[2];
  int answer[2];
  if (pipe2(go, O_CLOEXEC) != 0 || pipe2(answer, O_CLOEXEC) != 0) {
    FailErrno(errno, "pin namespaces in %s: pipe", request.dir);
  }
  if (unshare(CLONE_NEWPID) != 0) {  // for children only
    FailErrno(errno, "pin namespaces in %s: unshare", request.dir);
  }
  pause_pid = fork();
  if (pause_pid < 0) {
    FailErrno(errno, "pin namespaces in %s: fork", request.dir);
  }
  if (pause_pid == 0) {
    // Its own copies would keep the pipes open when this program is gone.
    close(go[1]);
    close(answer[0]);
    SetUndo(nullptr);
    BecomePause(request, go[0], answer[1]);
  }
  close(go[0]);
  close(answer[1]);
  Pin(request, "pid", Format("/proc/%d/ns/pid", pause_pid));
  const unsigned long long start = StartTimeOf(request, pause_pid);
  // Before the last step, so that nothing after it can fail.
  signal(SIGPIPE, SIG_IGN);  // the child may have complained and gone
  [[maybe_unused]] const ssize_t written = write(go[1], "g", 1);
  AwaitExec(request, answer[0]);
  printf("%d %llu\n", pause_pid, start);
  if (fflush(stdout) != 0) {
    FailErrno(errno, "pin namespaces in %s: write the answer", request.dir);
  }
}

}  // namespace

void PinCommand(int count, char** arguments) {
  const Request request = Parse(count, arguments);
  SetUndo(&Undo);
  MakeNamespaces(request);
  if (request.pause != nullptr) {
    StartPause(request);
  }
}

}  // namespace quoll::helper
