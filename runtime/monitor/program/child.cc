// SPDX-License-Identifier: Apache-2.0
#include "runtime/monitor/program/child.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <time.h>
#include <unistd.h>

#include "runtime/monitor/program/files.h"
#include "runtime/monitor/program/text.h"

namespace quoll::runtime::monitor {
namespace {

// Puts the three descriptors in place; they may overlap with 0 to 2.
bool PlaceStdio(const ChildStdio& stdio) {
  int wanted[3] = {stdio.in, stdio.out, stdio.err};
  for (int& fd : wanted) {
    // A copy above 2, which nothing below can overwrite.
    fd = fd >= 0 ? fcntl(fd, F_DUPFD_CLOEXEC, 3)
                 : open("/dev/null", O_RDWR | O_CLOEXEC);
    if (fd >= 0 && fd < 3) {
      fd = fcntl(fd, F_DUPFD_CLOEXEC, 3);
    }
    if (fd < 0) {
      return false;
    }
  }
  for (int i = 0; i < 3; ++i) {
    if (dup2(wanted[i], i) < 0) {
      return false;
    }
  }
  return true;
}

[[noreturn]] void RunChild(const RuntimeCommand& command, const Config& config,
                           const ChildStdio& stdio, ChildHook hook,
                           pid_t parent) {
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (getppid() != parent || !PlaceStdio(stdio)) {
    _exit(126);
  }
  for (int signo = 1; signo < 32; ++signo) {
    signal(signo, SIG_DFL);  // refused for KILL and STOP
  }
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, nullptr);
  if (hook != nullptr && hook(config) != 0) {
    _exit(126);
  }
  execv(command.argv()[0], command.argv());
  const int error = errno;
  Text<512> message;
  message.Add(command.argv()[0]).Add(": cannot be executed: ");
  message.Add(strerrordesc_np(error)).Add("\n");
  WriteAll(STDERR_FILENO, message.c_str(), message.size());
  _exit(127);
}

}  // namespace

int64_t NowMs() {
  timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return int64_t{now.tv_sec} * 1000 + now.tv_nsec / 1000000;
}

bool ReadStat(pid_t pid, uint64_t* start_time, pid_t* parent) {
  Text<64> path;
  path.Add("/proc/").AddNumber(static_cast<uint64_t>(pid)).Add("/stat");
  char text[1024];
  if (ReadFile(AT_FDCWD, path.c_str(), text, sizeof(text)) < 0) {
    return false;
  }
  // The name in parentheses may contain anything: fields follow the last ')'.
  const char* at = strrchr(text, ')');
  uint64_t number = 0;
  for (int field = 3; at != nullptr && field <= 22; ++field) {
    at = strchr(at, ' ');
    if (at == nullptr) {
      break;
    }
    ++at;
    const char* const end = at + strcspn(at, " \n");
    if (field == 4 && ParseNumber(at, end, &number)) {
      *parent = static_cast<pid_t>(number);
    }
    if (field == 22) {
      return ParseNumber(at, end, start_time);
    }
  }
  return false;
}

int BecomeReaper() {
  if (prctl(PR_SET_CHILD_SUBREAPER, 1) != 0) {
    return -errno;
  }
  // SIGPIPE too: a daemon that has gone is an error code, not a signal. TERM,
  // HUP and INT stay pending for ever: a container's life is not the
  // service manager's or a terminal's to end.
  sigset_t all;
  sigfillset(&all);
  if (sigprocmask(SIG_SETMASK, &all, nullptr) != 0) {
    return -errno;
  }
  sigset_t child;
  sigemptyset(&child);
  sigaddset(&child, SIGCHLD);
  const int fd = signalfd(-1, &child, SFD_CLOEXEC | SFD_NONBLOCK);
  return fd < 0 ? -errno : fd;
}

void DrainSignals(int signal_fd) {
  signalfd_siginfo info;
  while (read(signal_fd, &info, sizeof(info)) > 0) {
  }
}

RuntimeCommand::RuntimeCommand(const Config& config, const char* log_path) {
  Add(config.program);
  Add("--root");
  Add(config.root);
  Add("--log");
  Add(log_path);
  Add("--log-format");
  Add("json");
  for (int i = 0; i < config.arg_count; ++i) {
    Add(config.args[i]);
  }
}

void RuntimeCommand::Add(const char* arg) {
  if (count_ < kMaxArgs) {  // by construction: see kMaxArgs
    argv_[count_++] = arg;
  }
}

pid_t StartRuntime(const RuntimeCommand& command, const Config& config,
                   const ChildStdio& stdio, ChildHook hook) {
  const pid_t self = getpid();
  const pid_t pid = fork();
  if (pid == 0) {
    RunChild(command, config, stdio, hook, self);
  }
  return pid < 0 ? -errno : pid;
}

int KillChildren() {
  // One thread, so its list is that of the whole process. Part of the kernel
  // with CONFIG_PROC_CHILDREN, which every distribution sets for CRIU.
  char text[4096];
  int fd = open("/proc/thread-self/children", O_RDONLY | O_CLOEXEC);
  const ssize_t size = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);
  CloseFd(&fd);
  int killed = 0;
  pid_t pid = 0;
  for (ssize_t i = 0; i < size; ++i) {
    if (text[i] >= '0' && text[i] <= '9') {
      pid = pid * 10 + (text[i] - '0');
    } else if (pid > 0) {
      kill(pid, SIGKILL);
      ++killed;
      pid = 0;
    }
  }
  return killed;
}

}  // namespace quoll::runtime::monitor
