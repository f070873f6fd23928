// SPDX-License-Identifier: Apache-2.0
#include "os/process.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"

#include "os/annotate.h"
#include "os/files.h"
#include "os/poll_timeout.h"
#include "os/status_macros.h"

namespace quoll::os {
namespace {

// Not by glibc's <sys/pidfd.h>: 2.36's has no extern "C" for C++.
int OpenPidfd(pid_t pid) {
  return static_cast<int>(::syscall(SYS_pidfd_open, pid, 0));
}

absl::Status NoSuchProcess(pid_t pid) {
  return absl::NotFoundError(absl::StrCat("process ", pid, ": not there"));
}

// Field 22 of /proc/<pid>/stat, counted from 1 (proc_pid_stat(5)). The second
// field is the program's name in parentheses and may hold anything, spaces and
// parentheses too; nothing after it does.
absl::StatusOr<uint64_t> ParseStartTime(absl::string_view stat) {
  constexpr size_t kFirstFieldAfterName = 3;
  constexpr size_t kStartTimeField = 22;
  const size_t name_end = stat.rfind(')');
  if (name_end == absl::string_view::npos) {
    return absl::InternalError("no program name in it");
  }
  const std::vector<absl::string_view> fields = absl::StrSplit(
      stat.substr(name_end + 1), absl::ByAnyChar(" \n"), absl::SkipEmpty());
  constexpr size_t kIndex = kStartTimeField - kFirstFieldAfterName;
  uint64_t ticks = 0;
  if (fields.size() <= kIndex || !absl::SimpleAtoi(fields[kIndex], &ticks)) {
    return absl::InternalError("no start time in it");
  }
  return ticks;
}

}  // namespace

absl::StatusOr<ProcessIdentity> IdentifyProcess(pid_t pid) {
  if (pid <= 0) {
    return NoSuchProcess(pid);
  }
  const std::string path = absl::StrCat("/proc/", pid, "/stat");
  const absl::StatusOr<std::string> stat = ReadFile(path);
  if (!stat.ok()) {
    // ENOENT, or ESRCH when it went away between open(2) and read(2): Abseil
    // calls both NotFound.
    return absl::IsNotFound(stat.status()) ? NoSuchProcess(pid) : stat.status();
  }
  const absl::StatusOr<uint64_t> start = ParseStartTime(*stat);
  if (!start.ok()) {
    return Annotate(start.status(), path);
  }
  return ProcessIdentity{pid, *start};
}

absl::StatusOr<Pidfd> Pidfd::Open(const ProcessIdentity& identity) {
  if (identity.pid <= 0) {
    return NoSuchProcess(identity.pid);
  }
  UniqueFd fd(OpenPidfd(identity.pid));
  if (!fd.valid()) {
    // EINVAL (since 6.9 ENOENT): the number is a thread's now.
    if (errno == ESRCH || errno == EINVAL || errno == ENOENT) {
      return NoSuchProcess(identity.pid);
    }
    return absl::ErrnoToStatus(errno,
                               absl::StrCat("pidfd_open ", identity.pid));
  }
  // The descriptor is fixed now; whoever has the pid *after* that and also
  // started when ours did is ours.
  QUOLL_ASSIGN_OR_RETURN(const ProcessIdentity found,
                         IdentifyProcess(identity.pid));
  if (found != identity) {
    return absl::NotFoundError(
        absl::StrCat("process ", identity.pid,
                     ": not there; the pid belongs to a later process"));
  }
  return Pidfd(identity, std::move(fd));
}

absl::Status Pidfd::Signal(int signo) const {
  if (::syscall(SYS_pidfd_send_signal, fd_.get(), signo, nullptr, 0) == 0 ||
      errno == ESRCH) {
    return absl::OkStatus();
  }
  return absl::ErrnoToStatus(
      errno,
      absl::StrCat("send signal ", signo, " to process ", identity_.pid));
}

absl::Status Pidfd::AwaitExit(absl::Time deadline) const {
  while (true) {
    pollfd event = {fd_.get(), POLLIN, 0};
    const int n = ::poll(&event, 1, PollTimeoutMs(deadline));
    if (n < 0) {
      if (errno == EINTR) {
        continue;
      }
      return absl::ErrnoToStatus(
          errno, absl::StrCat("wait for process ", identity_.pid));
    }
    if (n > 0) {
      if ((event.revents & POLLNVAL) != 0) {
        return absl::FailedPreconditionError("wait for process: none is open");
      }
      return absl::OkStatus();
    }
    if (absl::Now() >= deadline) {
      return absl::DeadlineExceededError(
          absl::StrCat("process ", identity_.pid, " has not ended in time"));
    }
  }
}

bool Pidfd::HasExited() const {
  pollfd event = {fd_.get(), POLLIN, 0};
  return ::poll(&event, 1, 0) > 0;
}

absl::StatusOr<ExitStatus> Pidfd::Reap() const {
  siginfo_t info = {};
  int result = 0;
  do {
    result = ::waitid(P_PIDFD, static_cast<id_t>(fd_.get()), &info,
                      WEXITED | WNOHANG);
  } while (result != 0 && errno == EINTR);
  if (result != 0) {
    if (errno == ECHILD) {
      return absl::NotFoundError(
          absl::StrCat("process ", identity_.pid, " is not a child to reap"));
    }
    return absl::ErrnoToStatus(errno,
                               absl::StrCat("reap process ", identity_.pid));
  }
  if (info.si_pid == 0) {
    return absl::FailedPreconditionError(
        absl::StrCat("process ", identity_.pid, " still runs"));
  }
  if (info.si_code == CLD_EXITED) {
    return ExitStatus{info.si_status, 0};
  }
  return ExitStatus{0, info.si_status};  // CLD_KILLED, CLD_DUMPED
}

}  // namespace quoll::os
