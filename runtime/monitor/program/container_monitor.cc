// SPDX-License-Identifier: Apache-2.0
#include "runtime/monitor/program/container_monitor.h"

#include <errno.h>
#include <signal.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "runtime/monitor/program/cgroup.h"
#include "runtime/monitor/program/child.h"
#include "runtime/monitor/program/files.h"

namespace quoll::runtime::monitor {
namespace {

// How long leftovers of a container without a PID namespace of its own may take
// to die, and after them the streams to end. A process in uninterruptible sleep
// must not keep the exit record back for ever.
constexpr int64_t kKillMs = 10'000;
constexpr int64_t kDrainMs = 2'000;
constexpr int kKillPauseMs = 20;

}  // namespace

ContainerMonitor::ContainerMonitor(const Config& config)
    : config_(config), server_(*this) {
  log_.SetPath(config.log_path);
}

int ContainerMonitor::Main() {
  if (!Prepare() || !Create() || !Adopt() || !Report()) {
    return 1;
  }
  int report_fd = kReportFd;
  CloseFd(&report_fd);
  Run();
  return 0;
}

void ContainerMonitor::Run() {
  // The exit of a fast init may have been signalled before.
  ReapChildren();
  while (!exited_ || !FinishedDraining()) {
    Turn(TimeoutMs());
  }
  stdout_.Finish(log_);
  stderr_.Finish(log_);
  WriteExitRecord();
}

int ContainerMonitor::TimeoutMs() const {
  int64_t until = -1;
  const OutputStream* const streams[] = {&stdout_, &stderr_};
  for (const OutputStream* stream : streams) {
    const int64_t flush = stream->flush_at_ms();
    if (flush >= 0 && (until < 0 || flush < until)) {
      until = flush;
    }
  }
  if (exited_ && !kill_cgroup_.empty()) {
    return kKillPauseMs;
  }
  if (exited_ && (until < 0 || drain_until_ms_ < until)) {
    until = drain_until_ms_;
  }
  if (until < 0) {
    return -1;
  }
  const int64_t left = until - NowMs();
  return static_cast<int>(left > 0 ? left : 0);
}

void ContainerMonitor::Turn(int timeout_ms) {
  pollfd fds[3 + ControlServer::kMaxPollFds];
  // poll(2) ignores negative descriptors: streams that have ended.
  fds[0] = {signal_fd_, POLLIN, 0};
  fds[1] = {stdout_.fd(), POLLIN, 0};
  fds[2] = {stderr_.fd(), POLLIN, 0};
  const int served = server_.AddPollFds(fds + 3);
  const int ready = poll(fds, static_cast<nfds_t>(3 + served), timeout_ms);
  const int64_t now = NowMs();
  stdout_.FlushIfDue(now, log_);
  stderr_.FlushIfDue(now, log_);
  if (ready <= 0) {
    return;
  }
  // Before requests: what was there when a rotation is asked for belongs to
  // the old file.
  if (fds[1].revents != 0) {
    stdout_.ReadOnce(log_);
  }
  if (fds[2].revents != 0) {
    stderr_.ReadOnce(log_);
  }
  server_.Serve(fds + 3, served);
  if (fds[0].revents != 0) {
    ReapChildren();
  }
}

void ContainerMonitor::ReapChildren() {
  DrainSignals(signal_fd_);
  int status = 0;
  for (pid_t pid; (pid = waitpid(-1, &status, WNOHANG)) > 0;) {
    if (pid == init_ && !exited_) {
      OnInitExit(status);
    }
  }
}

void ContainerMonitor::OnInitExit(int wait_status) {
  exited_ = true;
  if (WIFSIGNALED(wait_status)) {
    exit_signal_ = WTERMSIG(wait_status);
    exit_code_ = 128 + exit_signal_;
  } else {
    exit_code_ = WEXITSTATUS(wait_status);
  }
  // An init that a shell wraps reports its child's SIGKILL as 137.
  oom_killed_ = exit_code_ == 128 + SIGKILL && oom_.HasKilled();
  timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  finished_at_ns_ = int64_t{now.tv_sec} * 1'000'000'000 + now.tv_nsec;
  kill_until_ms_ = NowMs() + kKillMs;
  drain_until_ms_ = NowMs() + kDrainMs;
  // Nobody needs the terminal any more; what is in it can still be read.
  CloseFd(&terminal_fd_);
}

bool ContainerMonitor::FinishedDraining() {
  const int64_t now = NowMs();
  if (!kill_cgroup_.empty()) {
    if (KillCgroup(kill_cgroup_.c_str()) == CgroupState::kPopulated &&
        now < kill_until_ms_) {
      return false;
    }
    kill_cgroup_.Clear();
    drain_until_ms_ = now + kDrainMs;
  }
  return (stdout_.fd() < 0 && stderr_.fd() < 0) || now >= drain_until_ms_;
}

void ContainerMonitor::WriteExitRecord() {
  Text<256> text;
  text.Add("quoll-exit 1\nexit_code ");
  text.AddNumber(static_cast<uint64_t>(exit_code_));
  text.Add("\nsignal ").AddNumber(static_cast<uint64_t>(exit_signal_));
  text.Add("\noom_killed ").Add(oom_killed_ ? "1" : "0");
  text.Add("\nfinished_at_ns ");
  text.AddNumber(static_cast<uint64_t>(finished_at_ns_)).Add("\n");
  unlink(kSocketFile);
  // Fails only when the bundle is gone, and with it everybody who would read
  // it: the room was taken at launch.
  ReplaceFile(kExitFile, text.c_str(), text.size());
}

int ContainerMonitor::ReopenLog() {
  return -log_.Reopen();
}

}  // namespace quoll::runtime::monitor
