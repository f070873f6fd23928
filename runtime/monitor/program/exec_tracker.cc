// SPDX-License-Identifier: Apache-2.0
#include "runtime/monitor/program/exec_tracker.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "runtime/monitor/program/cgroup.h"
#include "runtime/monitor/program/files.h"

namespace quoll::runtime::monitor {
namespace {

constexpr int kPauseMs = 5;

}  // namespace

bool ExecTracker::FindContainer() {
  const pid_t init = static_cast<pid_t>(config_.init_pid);
  v1_ = FindContainerCgroup(init, "freezer", &dir_);
  if (!v1_ && !FindContainerCgroup(init, "", &dir_)) {
    dir_.Clear();
    return false;
  }
  name_.Add("quoll-exec-").Add(config_.exec_id);
  dir_.Add("/").Add(name_.c_str());
  if (!dir_.ok()) {
    dir_.Clear();
    return false;
  }
  return true;
}

int ExecTracker::Create() {
  if (config_.sub_cgroup == SubCgroup::kNone || !FindContainer()) {
    return 0;
  }
  if (mkdir(dir_.c_str(), 0755) != 0 && errno != EEXIST) {
    const int error = -errno;
    dir_.Clear();
    return error;
  }
  if (v1_ && config_.sub_cgroup == SubCgroup::kController) {
    arg_.Add("freezer:");
  }
  arg_.Add(name_.c_str());
  return 0;
}

void ExecTracker::Find() {
  if (FindContainer() && access(dir_.c_str(), F_OK) != 0) {
    dir_.Clear();
  }
}

const char* ExecTracker::cgroup_arg() const {
  return dir_.empty() ? nullptr : arg_.c_str();
}

ChildHook ExecTracker::hook() const {
  return !dir_.empty() && v1_ && config_.sub_cgroup == SubCgroup::kPlain
             ? &JoinHook
             : nullptr;
}

int ExecTracker::JoinHook(const Config& config) {
  static PathText file;
  const int error =
      JoinCgroups(static_cast<pid_t>(config.init_pid), "freezer", &file);
  if (error != 0) {
    Text<4096> message;
    message.Add("join the container's cgroup ").Add(file.c_str()).Add(": ");
    message.Add(strerrordesc_np(-error)).Add("\n");
    WriteAll(STDERR_FILENO, message.c_str(), message.size());
  }
  return error;
}

bool ExecTracker::KillAll(int signal_fd, int64_t deadline_ms) {
  for (;;) {
    const bool in_cgroup =
        !dir_.empty() && KillCgroup(dir_.c_str()) == CgroupState::kPopulated;
    KillChildren();
    while (waitpid(-1, nullptr, WNOHANG) > 0) {
    }
    const bool has_children = waitpid(-1, nullptr, WNOHANG) == 0;
    if (!in_cgroup && !has_children) {
      if (!dir_.empty()) {
        rmdir(dir_.c_str());
      }
      return true;
    }
    if (NowMs() >= deadline_ms) {
      return false;
    }
    DrainSignals(signal_fd);
    pollfd entry = {signal_fd, POLLIN, 0};
    poll(&entry, 1, kPauseMs);
  }
}

void ExecTracker::Release() {
  if (dir_.empty() || rmdir(dir_.c_str()) == 0 || errno != EBUSY) {
    return;
  }
  EvacuateCgroup(dir_.c_str());
  rmdir(dir_.c_str());  // else it goes with the container's cgroup
}

}  // namespace quoll::runtime::monitor
