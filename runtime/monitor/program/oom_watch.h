// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <stdint.h>
#include <sys/types.h>

namespace quoll::runtime::monitor {

// The kernel's count of OOM kills in a container's memory cgroup: "oom_kill" of
// memory.events (cgroup2) or memory.oom_control (v1, Linux 4.13). The file is
// held open from before the container starts, so that it is found whatever
// happens to the container's processes.
class OomWatch {
 public:
  // Without a memory cgroup of its own nothing is counted.
  void Open(pid_t init);
  // True when the count has grown since Open(). Call it before the OCI runtime
  // removes the cgroup.
  bool HasKilled() const;

 private:
  bool ReadCount(uint64_t* count) const;

  int fd_ = -1;
  uint64_t before_ = 0;
};

}  // namespace quoll::runtime::monitor
