// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <map>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"

#include "runtime/monitor/monitors.h"

namespace quoll::runtime {

// How an OCI runtime's `exec --cgroup` is to be used, found by the first word
// of its --version and remembered. Thread-safe.
class OciFlavors {
 public:
  // "controller" (runc), "plain" (crun), "none" (others): the value of
  // "sub_cgroup" in the monitor's configuration.
  std::string SubCgroup(const OciProgram& program, absl::Time deadline);

 private:
  absl::Mutex mutex_;
  std::map<std::string, std::string> known_ ABSL_GUARDED_BY(mutex_);
};

// One ExecSync: starts `quoll-monitor exec` in the container's bundle, collects
// the output of the command and its report. Blocks until everything that was
// started has ended or has been killed, or the command has ended by itself and
// its output too (or 200 ms later: what it left running may hold the pipes).
absl::StatusOr<ExecResult> RunExecSession(
    const std::string& monitor_program, const ExecRequest& request,
    const std::string& sub_cgroup, absl::Time deadline,
    const std::function<bool()>& cancelled);

}  // namespace quoll::runtime
