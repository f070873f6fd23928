// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"

#include "os/process.h"

namespace quoll::runtime {

// How one OCI runtime command line is called.
struct OciProgram {
  std::string name;                      // handler: "runc"
  std::string program;                   // absolute path
  std::string root;                      // its --root
  std::vector<std::string> global_args;  // before the sub-command
};

struct MonitorLaunch {
  std::string container_id;
  std::string bundle;  // runtime/paths.h ContainerRun(): also the monitor's
  OciProgram runtime;
  std::string log_path;  // absolute; "": output is drained, not kept
  bool tty = false;
  bool stdin = false;
  bool stdin_once = false;
  // Where the monitor process itself is put; empty: stays with the daemon.
  std::vector<std::string> cgroup_procs_files;
};

struct LaunchedContainer {
  os::ProcessIdentity monitor;
  os::ProcessIdentity init;
};

// What the monitor wrote when the container's init ended.
struct ExitRecord {
  int exit_code = 0;  // 128 + signal when a signal ended it
  int signal = 0;
  bool oom_killed = false;
  int64_t finished_at_ns = 0;
};

struct ExecRequest {
  std::string container_id;
  std::string bundle;  // of the container: scratch files go there
  OciProgram runtime;
  std::string process_json;  // OCI "process" object of the exec
  os::ProcessIdentity init;
  std::string cgroups_path;
  size_t max_output_bytes = 15u << 20;  // both streams together
};

struct ExecResult {
  int exit_code = 0;
  std::string out;
  std::string err;
};

// The daemon's side of quoll-monitor, one process per container, which owns the
// container's stdio, log and exit record and outlives the daemon. Thread-safe.
class Monitors {
 public:
  virtual ~Monitors() = default;

  // Starts a monitor, which runs the OCI runtime's `create`. On error nothing
  // is left but files in the bundle, and the message is the OCI runtime's own
  // (from its log), not "exit status 1".
  virtual absl::StatusOr<LaunchedContainer> Launch(const MonitorLaunch& launch,
                                                   absl::Time deadline) = 0;

  // Ends and forgets whatever a Launch left behind, finished or not (the daemon
  // may have died in the middle): monitor, container, the OCI runtime's state.
  // OK when there is nothing. Files in the bundle stay the caller's.
  virtual absl::Status Discard(const std::string& container_id,
                               const std::string& bundle,
                               const OciProgram& runtime,
                               absl::Time deadline) = 0;

  using OnExit = std::function<void(const absl::StatusOr<ExitRecord>&)>;
  // Calls `on_exit` once, on an unspecified thread, when the container has
  // ended: with its record, or with DataLoss when the monitor is gone and left
  // none. Also when it ended long ago. NotFound when there is nothing to watch
  // (monitor gone, no record, init gone): reboot.
  virtual absl::Status Watch(const std::string& container_id,
                             const std::string& bundle,
                             const LaunchedContainer& container,
                             OnExit on_exit) = 0;
  // After it returns, on_exit does not run and is not running. OK when unknown.
  virtual void Unwatch(absl::string_view container_id) = 0;

  // Closes the log file and opens the path anew. Lines before it are in the old
  // file, lines after it in the new one. OK when there is no log.
  virtual absl::Status ReopenLog(const std::string& bundle,
                                 absl::Time deadline) = 0;

  // Runs a command in the container and collects its output. At the deadline
  // everything it started is killed: DeadlineExceeded. ResourceExhausted when
  // the output is larger than allowed (it is killed too).
  virtual absl::StatusOr<ExecResult> ExecSync(
      const ExecRequest& request, absl::Time deadline,
      std::function<bool()> cancelled) = 0;
};

}  // namespace quoll::runtime
