// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sys/types.h>

#include "runtime/monitor/program/config.h"
#include "runtime/monitor/program/exec_tracker.h"
#include "runtime/monitor/protocol.h"

namespace quoll::runtime::monitor {

// One command in a container, as its parent (subreaper). Its stdout and stderr
// are this process' own, handed on; quolld reads them directly. When the
// control pipe ends (quolld says so, or has died) everything that the exec
// started is killed.
class ExecMonitor {
 public:
  explicit ExecMonitor(const Config& config)
      : config_(config), tracker_(config) {}

  // The exit code of the process.
  int Main();
  // Kills what an earlier exec with this id left when its monitor was killed.
  int MainKill();

 private:
  ExecReport Execute();
  enum class Awaited { kExited, kKill, kNotOurs };
  // Waits for the child, or until all is to be killed.
  Awaited AwaitChild(pid_t pid, bool reap_others, int* wait_status);
  ExecReport Kill();
  ExecReport SystemError(const char* step, int error);
  bool IsContainerAlive() const;

  const Config& config_;
  ExecTracker tracker_;
  int signal_fd_ = -1;
  Text<1024> text_;  // of the report
};

}  // namespace quoll::runtime::monitor
