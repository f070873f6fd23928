// SPDX-License-Identifier: Apache-2.0
#include "runtime/monitor/program/exec_monitor.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "runtime/monitor/program/child.h"
#include "runtime/monitor/program/files.h"
#include "runtime/monitor/program/report.h"

namespace quoll::runtime::monitor {
namespace {

// Killed processes that do not end by then are in uninterruptible sleep.
constexpr int64_t kKillMs = 5'000;

// The scratch files of an exec in the bundle.
Text<128> ScratchName(const Config& config, const char* suffix) {
  Text<128> name;
  name.Add("exec-").Add(config.exec_id).Add(suffix);
  return name;
}

}  // namespace

int ExecMonitor::Main() {
  const ExecReport report = Execute();
  tracker_.Release();
  unlink(ScratchName(config_, ".pid").c_str());
  if (!SendMessage(kReportFd, MessageType::kExecReport, &report, sizeof(report),
                   text_.c_str(), text_.size())) {
    // The daemon has died; the other files are ours to remove now.
    unlink(ScratchName(config_, ".json").c_str());
    unlink(ScratchName(config_, ".log").c_str());
    return 1;
  }
  return 0;
}

int ExecMonitor::MainKill() {
  signal_fd_ = BecomeReaper();
  tracker_.Find();
  return tracker_.KillAll(signal_fd_, NowMs() + kKillMs) ? 0 : 1;
}

ExecReport ExecMonitor::SystemError(const char* step, int error) {
  text_.Clear();
  text_.Add(step).Add(": ").Add(strerrordesc_np(-error));
  ExecReport report;
  report.outcome = ExecOutcome::kSystem;
  return report;
}

ExecReport ExecMonitor::Kill() {
  ExecReport report;
  report.outcome = tracker_.KillAll(signal_fd_, NowMs() + kKillMs)
                       ? ExecOutcome::kKilled
                       : ExecOutcome::kLeftovers;
  return report;
}

bool ExecMonitor::IsContainerAlive() const {
  uint64_t start_time = 0;
  pid_t parent = 0;
  return config_.init_pid > 1 &&
         ReadStat(static_cast<pid_t>(config_.init_pid), &start_time, &parent) &&
         start_time == config_.init_start_time;
}

ExecMonitor::Awaited ExecMonitor::AwaitChild(pid_t pid, bool reap_others,
                                             int* wait_status) {
  for (;;) {
    DrainSignals(signal_fd_);
    pid_t reaped;
    while ((reaped = waitpid(reap_others ? -1 : pid, wait_status, WNOHANG)) >
           0) {
      if (reaped == pid) {
        return Awaited::kExited;
      }
    }
    if (reaped < 0) {
      return Awaited::kNotOurs;
    }
    pollfd fds[2] = {{signal_fd_, POLLIN, 0}, {kControlFd, POLLIN, 0}};
    if (poll(fds, 2, -1) > 0 && fds[1].revents != 0) {
      return Awaited::kKill;
    }
  }
}

ExecReport ExecMonitor::Execute() {
  signal_fd_ = BecomeReaper();
  if (signal_fd_ < 0) {
    return SystemError("become subreaper", signal_fd_);
  }
  if (!IsContainerAlive()) {
    ExecReport report;
    report.outcome = ExecOutcome::kNotRunning;
    return report;
  }
  if (const int error = tracker_.Create(); error != 0) {
    return SystemError("make a cgroup for the exec", error);
  }
  const Text<128> pid_file = ScratchName(config_, ".pid");
  const Text<128> process_file = ScratchName(config_, ".json");
  PathText log;
  log.Add(config_.bundle).Add("/");
  log.Add(ScratchName(config_, ".log").c_str());
  RuntimeCommand command(config_, log.c_str());
  command.Add("exec");
  command.Add("--detach");
  command.Add("--process");
  command.Add(process_file.c_str());
  command.Add("--pid-file");
  command.Add(pid_file.c_str());
  if (const char* cgroup = tracker_.cgroup_arg()) {
    command.Add("--cgroup");
    command.Add(cgroup);
  }
  command.Add(config_.container_id);
  const pid_t runtime = StartRuntime(
      command, config_, {-1, STDOUT_FILENO, STDERR_FILENO}, tracker_.hook());
  if (runtime < 0) {
    return SystemError("fork", runtime);
  }
  // From here on only the exec holds the pipes: their end is its end.
  close(STDOUT_FILENO);
  close(STDERR_FILENO);

  int status = 0;
  // Others are not reaped yet: one may be the exec, whose pid is not known.
  if (AwaitChild(runtime, /*reap_others=*/false, &status) != Awaited::kExited) {
    return Kill();
  }
  ExecReport report;
  if (status != 0) {
    Kill();  // a runtime that failed half-way may have started something
    report.outcome = ExecOutcome::kRuntimeFailed;
    report.exit_code = WIFEXITED(status) ? WEXITSTATUS(status) : 0;
    report.signal = WIFSIGNALED(status) ? WTERMSIG(status) : 0;
    return report;
  }
  char text[32];
  const ssize_t size = ReadFile(AT_FDCWD, pid_file.c_str(), text, sizeof(text));
  uint64_t pid = 0;
  if (size <= 0 || !ParseNumber(text, text + strcspn(text, "\n"), &pid)) {
    Kill();
    return SystemError("read the pid file of the OCI runtime", -EBADMSG);
  }
  switch (AwaitChild(static_cast<pid_t>(pid), /*reap_others=*/true, &status)) {
    case Awaited::kExited:
      break;
    case Awaited::kKill:
      return Kill();
    case Awaited::kNotOurs:
      Kill();
      return SystemError("wait for the exec's process", -ECHILD);
  }
  report.outcome = ExecOutcome::kExited;
  report.exit_code = WIFEXITED(status) ? WEXITSTATUS(status) : 0;
  report.signal = WIFSIGNALED(status) ? WTERMSIG(status) : 0;
  return report;
}

}  // namespace quoll::runtime::monitor
