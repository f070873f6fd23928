// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"

#include "os/unique_fd.h"

namespace quoll::os {

// Names a process across daemon restarts: a pid alone may be recycled.
struct ProcessIdentity {
  pid_t pid = 0;
  uint64_t start_time_ticks = 0;  // field 22 of /proc/<pid>/stat

  bool operator==(const ProcessIdentity&) const = default;
};

struct ExitStatus {
  int code = 0;    // meaningful when signal == 0
  int signal = 0;  // 0 when the process exited by itself

  // What a shell would call it: the code, or 128 + signal.
  int ShellCode() const { return signal != 0 ? 128 + signal : code; }
};

// NotFound when there is no such process. A zombie still is one.
absl::StatusOr<ProcessIdentity> IdentifyProcess(pid_t pid);

// A stable reference to a process, ours or not. Signals sent through it can
// never reach a different process that reuses the pid. Does not own the
// process: destroying it does nothing to it.
class Pidfd {
 public:
  // NotFound when no process matches `identity` exactly.
  static absl::StatusOr<Pidfd> Open(const ProcessIdentity& identity);

  Pidfd() = default;
  Pidfd(ProcessIdentity identity, UniqueFd fd)
      : identity_(identity), fd_(std::move(fd)) {}

  // OK when the process is already gone.
  absl::Status Signal(int signo) const;
  // Blocks. DeadlineExceeded when the process is still alive at `deadline`.
  // Does not reap.
  absl::Status AwaitExit(absl::Time deadline) const;
  bool HasExited() const;

  // Reaps a child of this process. FailedPrecondition while it lives,
  // NotFound when it is not (or no longer) our child.
  absl::StatusOr<ExitStatus> Reap() const;

  const ProcessIdentity& identity() const { return identity_; }
  int fd() const { return fd_.get(); }

 private:
  ProcessIdentity identity_;
  UniqueFd fd_;
};

struct SpawnRequest {
  std::vector<std::string> argv;  // argv[0] is an absolute path
  std::vector<std::string> env;   // complete; nothing is inherited
  std::string working_dir = "/";
  // (descriptor here, number in the child). Everything else is closed; 0, 1
  // and 2 are /dev/null when not given.
  std::vector<std::pair<int, int>> fds;
  // cgroup.procs files into which the child is put before it executes.
  std::vector<std::string> cgroup_procs_files;
  bool new_session = false;  // setsid(2)
};

// Starts a program: clone(CLONE_VM | CLONE_VFORK | CLONE_PIDFD), so that the
// cost does not grow with the daemon's memory and nothing is allocated between
// clone and exec. Signal mask and dispositions are reset, close_range(2) closes
// what was not asked for. No PDEATHSIG: the calling thread may end at any time
// (gRPC's do) without effect on the child. An exec that fails is reported here,
// with the errno and the step. The child must be reaped by the caller.
// Thread-safe; blocks until the child has executed.
absl::StatusOr<Pidfd> Spawn(const SpawnRequest& request);

struct CommandResult {
  ExitStatus exit;
  std::string out;
  std::string err;
  bool truncated = false;  // more than max_output_bytes came on one of the two
};

struct CommandRequest {
  SpawnRequest spawn;
  std::string input;                   // all that stdin gives
  size_t max_output_bytes = 1u << 20;  // of each stream; the rest is dropped
  absl::Time deadline = absl::InfiniteFuture();
  // After the child's exit, how long output of grandchildren that hold the
  // pipes is waited for.
  absl::Duration drain = absl::Milliseconds(200);
  // Not owned. Once it is readable (an eventfd that somebody wrote to), the
  // command is ended as at the deadline, and the result is Cancelled.
  int cancel_fd = -1;
};

// Runs a program to its end. It gets its own session; at the deadline the whole
// process group gets SIGKILL and the result is DeadlineExceeded. A child in
// uninterruptible sleep is then left behind, and reaped by a later command once
// it has died. A non-zero exit is not an error here: look at `exit`.
absl::StatusOr<CommandResult> RunCommand(const CommandRequest& request);

}  // namespace quoll::os
