// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <stdint.h>
#include <sys/types.h>

#include "runtime/monitor/program/config.h"
#include "runtime/monitor/program/control_server.h"
#include "runtime/monitor/program/log_file.h"
#include "runtime/monitor/program/oom_watch.h"
#include "runtime/monitor/program/output_stream.h"

namespace quoll::runtime::monitor {

// The life of one container, from the OCI runtime's create to its exit record.
//
//   Launch                      Run
//   ------                      ---
//   monitor.pid                 stdout, stderr -> log
//   log, pipes or console       monitor.sock: requests
//   RUNTIME create              init's exit -> leftovers killed, streams
//   monitor.pid (with init)       drained -> exit record
//   OOM counter, monitor.sock
//   report: ready
//
// A failure before "ready" is undone and reported. A daemon that goes away
// before "ready" gets the container undone, too: to it nothing was created.
class ContainerMonitor : private ControlServer::Handler {
 public:
  explicit ContainerMonitor(const Config& config);

  // The exit code of the process.
  int Main();

 private:
  struct Pipes;

  // Steps of Main(); false after they have reported the failure.
  bool Prepare();
  bool Create();
  bool Adopt();
  bool Report();
  void Run();

  bool OpenStdio(Pipes* pipes);
  // Runs a command to its end; its wait(2) status, or -1 when it had to be
  // killed. With `watch_daemon` the end of the daemon is a reason to.
  int RunRuntime(pid_t pid, int64_t deadline_ms, bool watch_daemon);
  void UndoCreate();
  bool Fail(Failure failure, const char* step, int error);
  bool FailWithText(Failure failure, const char* text, size_t size);

  // One wait, and what came of it.
  void Turn(int timeout_ms);
  int TimeoutMs() const;
  void ReapChildren();
  void OnInitExit(int wait_status);
  // True once nothing is left to wait for.
  bool FinishedDraining();
  void WriteExitRecord();

  int ReopenLog() override;

  const Config& config_;
  ControlServer server_;
  LogFile log_;
  OomWatch oom_;
  OutputStream stdout_{"stdout"};
  OutputStream stderr_{"stderr"};
  int signal_fd_ = -1;
  int console_listen_fd_ = -1;
  int stdin_fd_ = -1;     // kept for who attaches
  int terminal_fd_ = -1;  // slave end: no hang-up while the container lives

  pid_t init_ = 0;
  uint64_t init_start_time_ = 0;
  bool owns_pid_namespace_ = true;
  PathText kill_cgroup_;  // where leftovers are; "" when there can be none

  bool exited_ = false;
  int exit_code_ = 0;
  int exit_signal_ = 0;
  bool oom_killed_ = false;
  int64_t finished_at_ns_ = 0;
  int64_t kill_until_ms_ = 0;
  int64_t drain_until_ms_ = 0;
};

}  // namespace quoll::runtime::monitor
