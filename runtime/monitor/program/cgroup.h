// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sys/types.h>

#include "runtime/monitor/program/text.h"

namespace quoll::runtime::monitor {

// Cgroups as this process sees them (/proc/PID/cgroup, /proc/self/mountinfo).

// Room for a /proc/PID/cgroup: 14 hierarchies with a path each.
inline constexpr size_t kCgroupFileSize = 16 * 1024;

// The directory of `pid`'s cgroup in the v1 hierarchy that has `controller`, or
// in the cgroup2 hierarchy for "". False when there is no such hierarchy, when
// the process is in its root, and when it is where this process is: none of
// these is a container's own cgroup.
bool FindContainerCgroup(pid_t pid, const char* controller, PathText* dir);

// Puts the calling process into the cgroups of `pid` in every v1 hierarchy but
// `except`'s. 0 or -errno, with the file in `failed`.
int JoinCgroups(pid_t pid, const char* except, PathText* failed);

enum class CgroupState { kEmpty, kPopulated, kGone };

// SIGKILL to every process in the cgroup and below: cgroup.kill (cgroup2,
// Linux 5.14); else, with a freezer, frozen meanwhile so that forks cannot
// outrun it; else one pass over the pids, to be repeated until it is empty.
CgroupState KillCgroup(const char* dir);

// Processes of the cgroup (not below) go to its parent. Best effort: cgroup2
// refuses when the parent hands controllers on.
void EvacuateCgroup(const char* dir);

}  // namespace quoll::runtime::monitor
