// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "runtime/monitor/program/child.h"
#include "runtime/monitor/program/config.h"

namespace quoll::runtime::monitor {

// Finds every process that an exec started, so that all can be killed.
//
// Parenthood is not enough: a double fork inside the container's PID namespace
// makes the orphan a child of the container's init, where it looks like any
// other. A mark that children inherit is: a cgroup. The OCI runtime moves an
// exec into the container's cgroups itself, so a cgroup of ours must lie below
// those and the runtime must be told (`exec --cgroup`):
//
//   v1, hybrid:  <freezer hierarchy>/<container>/quoll-exec-ID
//   v2:          <container>/quoll-exec-ID
//
// No controller is handed on to it, so it changes neither limits nor accounts.
// crun on v1 joins only hierarchies in which the sub-cgroup exists and would
// leave the process where crun itself is in all others; so the runtime's
// process joins those of the container first (JoinHook).
//
// Limits. A privileged process with a writable cgroup file system can leave the
// cgroup. Without the sub-cgroup (an OCI runtime that has no --cgroup, neither
// freezer nor cgroup2, a container without a cgroup of its own) only our own
// descendants are found: that is all of them in a container that shares the
// host's PID namespace; else double forks escape.
class ExecTracker {
 public:
  explicit ExecTracker(const Config& config) : config_(config) {}

  // Makes the sub-cgroup, when it is possible. 0 or -errno.
  int Create();
  // Looks up one that another process has made.
  void Find();
  // For RuntimeCommand: the value of --cgroup, nullptr without a sub-cgroup.
  const char* cgroup_arg() const;
  ChildHook hook() const;

  // Kills all, and waits for their end until the deadline (NowMs()). False when
  // some are left. Reaps children of this process.
  bool KillAll(int signal_fd, int64_t deadline_ms);
  // The exec has ended by itself: what it left running stays in the container.
  void Release();

 private:
  bool FindContainer();
  static int JoinHook(const Config& config);

  const Config& config_;
  bool v1_ = false;
  Text<128> name_;
  Text<160> arg_;
  PathText dir_;  // "" without
};

}  // namespace quoll::runtime::monitor
