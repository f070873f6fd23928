// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <stdint.h>
#include <sys/types.h>

#include "runtime/monitor/program/config.h"

// Processes that this one starts and inherits.
namespace quoll::runtime::monitor {

// Milliseconds of CLOCK_MONOTONIC.
int64_t NowMs();

// Field 22 and field 4 of /proc/PID/stat; false when there is no such process.
bool ReadStat(pid_t pid, uint64_t* start_time, pid_t* parent);

// Makes this process the parent of every orphan among its descendants, blocks
// all signals and returns a signalfd(2) for SIGCHLD, or -errno.
int BecomeReaper();
// Empties the signalfd.
void DrainSignals(int signal_fd);

// Arguments of one OCI runtime command line.
class RuntimeCommand {
 public:
  // PROGRAM --log LOG --log-format json --root ROOT ARGS...
  RuntimeCommand(const Config& config, const char* log_path);
  void Add(const char* arg);  // must live as long as this
  char* const* argv() const { return const_cast<char* const*>(argv_); }

 private:
  static constexpr int kMaxArgs = Config::kMaxArgs + 24;
  const char* argv_[kMaxArgs + 1] = {};
  int count_ = 0;
};

// Runs between fork and exec; non-zero stops the child. May write to fd 2.
using ChildHook = int (*)(const Config& config);

struct ChildStdio {
  int in = -1;  // -1: /dev/null
  int out = -1;
  int err = -1;
};

// Starts it with default signals. It dies with this process (which has one
// thread, so PR_SET_PDEATHSIG means what it says): a monitor that is killed
// leaves no half-done create behind. Its pid, or -errno. A failed exec shows as
// exit code 127, with the reason on its stderr.
pid_t StartRuntime(const RuntimeCommand& command, const Config& config,
                   const ChildStdio& stdio, ChildHook hook);

// SIGKILL to every child of this process; how many there were. Orphans of
// theirs become our children as they end, so a loop gets all.
int KillChildren();

}  // namespace quoll::runtime::monitor
