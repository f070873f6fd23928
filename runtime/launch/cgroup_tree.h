// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"

namespace quoll::runtime {

// The node's cgroup layout and one cgroup in it (one directory on v2, one per
// controller on v1). Paths are as containers see them: "/kubepods/podX/ID".
// Roots are parameters so that tests use a temporary directory. Thread-safe.
class CgroupTree {
 public:
  // Reads `mountinfo_text` (/proc/self/mountinfo) for where controllers are
  // mounted. FailedPrecondition when there is no cgroup file system.
  static absl::StatusOr<CgroupTree> Detect(const std::string& mountinfo_text);

  bool is_v2() const { return v2_; }

  // Creates `path` in every hierarchy (cpuset inherits its parent's values on
  // v1, controllers are enabled in ancestors on v2). Idempotent.
  absl::Status Create(const std::string& path) const;
  // Removes `path` and its empty descendants from every hierarchy; waits for
  // them to become empty until the deadline. OK when already gone.
  absl::Status Remove(const std::string& path, absl::Time deadline) const;
  bool Exists(const std::string& path) const;

  // cgroup.procs of every hierarchy, for os::SpawnRequest.
  std::vector<std::string> ProcsFiles(const std::string& path) const;
  // Every process in it and below.
  absl::StatusOr<std::vector<pid_t>> Processes(const std::string& path) const;
  // cgroup.kill where it exists; else freeze (v1), SIGKILL to each, thaw,
  // until it is empty. OK when gone. FailedPrecondition when the caller itself
  // is in it.
  absl::Status Kill(const std::string& path, absl::Time deadline) const;

 private:
  struct Hierarchy {
    std::string mount_point;
    // Of the mount inside the hierarchy; in a container "/x". A path is looked
    // up below the mount point, as OCI runtimes do, so it is then one below
    // the container's own cgroup.
    std::string root;
    std::vector<std::string> controllers;  // {"freezer"}; {} of v2
  };

  // One round of SIGKILL to everything in it.
  absl::Status KillOnce(const std::string& path,
                        const std::vector<pid_t>& pids) const;
  absl::Status SetFrozen(const std::string& path, bool frozen) const;

  bool v2_ = false;
  std::vector<Hierarchy> hierarchies_;
};

}  // namespace quoll::runtime
