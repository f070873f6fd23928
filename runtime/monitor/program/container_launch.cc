// SPDX-License-Identifier: Apache-2.0
// ContainerMonitor up to its ready report.
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "runtime/monitor/program/cgroup.h"
#include "runtime/monitor/program/child.h"
#include "runtime/monitor/program/console.h"
#include "runtime/monitor/program/container_monitor.h"
#include "runtime/monitor/program/files.h"
#include "runtime/monitor/program/report.h"

namespace quoll::runtime::monitor {
namespace {

constexpr int64_t kUndoMs = 10'000;

// "PID START [INIT INIT_START]"
int WritePidFile(pid_t init, uint64_t init_start_time) {
  uint64_t start_time = 0;
  pid_t parent = 0;
  if (!ReadStat(getpid(), &start_time, &parent)) {
    return -ESRCH;
  }
  Text<128> text;
  text.AddNumber(static_cast<uint64_t>(getpid())).Add(" ");
  text.AddNumber(start_time);
  if (init != 0) {
    text.Add(" ").AddNumber(static_cast<uint64_t>(init));
    text.Add(" ").AddNumber(init_start_time);
  }
  text.Add("\n");
  return ReplaceFile(kPidFile, text.c_str(), text.size());
}

// PID 1 of a namespace takes everything in it along when it ends. The last
// number of NSpid (proc_pid_status(5)) is the pid in the innermost one.
bool IsInitOfPidNamespace(pid_t pid) {
  Text<64> path;
  path.Add("/proc/").AddNumber(static_cast<uint64_t>(pid)).Add("/status");
  char text[8192];
  if (ReadFile(AT_FDCWD, path.c_str(), text, sizeof(text)) < 0) {
    return false;
  }
  const char* const line = strstr(text, "\nNSpid:");
  const char* const end = line != nullptr ? strchr(line + 1, '\n') : nullptr;
  return end != nullptr && end[-1] == '1' &&
         (end[-2] == '\t' || end[-2] == ' ');
}

}  // namespace

// Ends that create's child gets; ours are in the streams.
struct ContainerMonitor::Pipes {
  int in = -1;
  int out = -1;
  int err = -1;
  ~Pipes() {
    CloseFd(&in);
    CloseFd(&out);
    CloseFd(&err);
  }
};

bool ContainerMonitor::FailWithText(Failure failure, const char* text,
                                    size_t size) {
  FailureReport report;
  report.failure = failure;
  SendMessage(kReportFd, MessageType::kFailed, &report, sizeof(report), text,
              size);
  return false;
}

bool ContainerMonitor::Fail(Failure failure, const char* step, int error) {
  Text<4096> text;
  text.Add(step).Add(": ").Add(strerrordesc_np(-error));
  return FailWithText(failure, text.c_str(), text.size());
}

bool ContainerMonitor::Prepare() {
  signal_fd_ = BecomeReaper();
  if (signal_fd_ < 0) {
    return Fail(Failure::kSystem, "become subreaper", signal_fd_);
  }
  // First of all, so that whoever cleans up after a crash finds this process.
  if (const int error = WritePidFile(0, 0); error != 0) {
    return Fail(Failure::kSystem, "write monitor.pid", error);
  }
  // The room for the exit record, taken while there still is some.
  static const char blanks[256] = {};
  unlink(kExitFile);
  int reserve = open("exit.tmp", O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
  int error = reserve < 0 ? -errno : WriteAll(reserve, blanks, sizeof(blanks));
  CloseFd(&reserve);
  if (error != 0) {
    return Fail(Failure::kSystem, "reserve room for the exit record", error);
  }
  error = log_.Reopen();
  if (error != 0) {
    Text<4096> step;
    step.Add("open log file ").Add(config_.log_path);
    return Fail(Failure::kSystem, step.c_str(), error);
  }
  return true;
}

bool ContainerMonitor::OpenStdio(Pipes* pipes) {
  int err[2];
  if (pipe2(err, O_CLOEXEC) != 0) {
    return false;
  }
  pipes->err = err[1];
  stderr_.SetFd(err[0]);
  SetNonBlocking(err[0]);
  if (config_.tty) {
    // Only for what the runtime has to say; the container's three are the
    // terminal.
    console_listen_fd_ = ListenForConsole();
    if (console_listen_fd_ < 0) {
      errno = -console_listen_fd_;
      return false;
    }
    return true;
  }
  int out[2];
  if (pipe2(out, O_CLOEXEC) != 0) {
    return false;
  }
  pipes->out = out[1];
  stdout_.SetFd(out[0]);
  SetNonBlocking(out[0]);
  if (config_.stdin) {
    int in[2];
    if (pipe2(in, O_CLOEXEC) != 0) {
      return false;
    }
    pipes->in = in[0];
    stdin_fd_ = in[1];
    SetNonBlocking(stdin_fd_);
  }
  return true;
}

int ContainerMonitor::RunRuntime(pid_t pid, int64_t deadline_ms,
                                 bool watch_daemon) {
  bool killed = false;
  for (;;) {
    DrainSignals(signal_fd_);
    int status = 0;
    if (waitpid(pid, &status, WNOHANG) == pid) {
      return killed ? -1 : status;
    }
    const int64_t left = deadline_ms - NowMs();
    pollfd fds[2] = {{signal_fd_, POLLIN, 0}, {kReportFd, 0, 0}};
    const int count = watch_daemon && !killed ? 2 : 1;
    poll(fds, static_cast<nfds_t>(count),
         killed || deadline_ms == 0 ? -1
                                    : static_cast<int>(left > 0 ? left : 0));
    if (!killed && ((count == 2 && fds[1].revents != 0) ||
                    (deadline_ms != 0 && NowMs() >= deadline_ms))) {
      kill(pid, SIGKILL);  // our unreaped child: the pid is its own
      killed = true;
    }
  }
}

bool ContainerMonitor::Create() {
  PathText log;
  log.Add(config_.bundle).Add("/").Add(kRuntimeLog);
  RuntimeCommand command(config_, log.c_str());
  command.Add("create");
  command.Add("--bundle");
  command.Add(config_.bundle);
  command.Add("--pid-file");
  command.Add(kInitPidFile);
  if (config_.tty) {
    command.Add("--console-socket");
    command.Add(kConsoleSocket);
  }
  command.Add(config_.container_id);
  unlink(kInitPidFile);
  unlink(kRuntimeLog);

  Pipes pipes;
  if (!OpenStdio(&pipes)) {
    return Fail(Failure::kSystem, "open the container's stdio", -errno);
  }
  if (IsReaderGone(kReportFd)) {
    return false;
  }
  const pid_t pid =
      StartRuntime(command, config_, {pipes.in, pipes.out, pipes.err}, nullptr);
  if (pid < 0) {
    return Fail(Failure::kSystem, "fork", pid);
  }
  const int status = RunRuntime(pid, /*deadline_ms=*/0, /*watch_daemon=*/true);
  if (status == 0) {
    return true;
  }
  UndoCreate();
  // What it wrote on stderr; the daemon prefers the runtime's log.
  char text[1024];
  const ssize_t size = read(stderr_.fd(), text, sizeof(text));
  return FailWithText(Failure::kRuntime, text,
                      size > 0 ? static_cast<size_t>(size) : 0);
}

void ContainerMonitor::UndoCreate() {
  PathText log;
  log.Add(config_.bundle).Add("/undo.log");
  RuntimeCommand command(config_, log.c_str());
  command.Add("delete");
  command.Add("--force");
  command.Add(config_.container_id);
  const pid_t pid = StartRuntime(command, config_, {}, nullptr);
  if (pid > 0) {
    RunRuntime(pid, NowMs() + kUndoMs, /*watch_daemon=*/false);
  }
  // The init and whatever else the runtime left to us.
  while (KillChildren() > 0) {
    pollfd entry = {signal_fd_, POLLIN, 0};
    poll(&entry, 1, 100);
    DrainSignals(signal_fd_);
    while (waitpid(-1, nullptr, WNOHANG) > 0) {
    }
  }
  unlink("undo.log");
}

bool ContainerMonitor::Adopt() {
  char text[32];
  const ssize_t size = ReadFile(AT_FDCWD, kInitPidFile, text, sizeof(text));
  const char* const end = size > 0 ? text + strcspn(text, "\n") : text;
  uint64_t pid = 0;
  if (!ParseNumber(text, end, &pid) || pid <= 1) {
    UndoCreate();
    return Fail(Failure::kSystem, "read init.pid of the OCI runtime", -EBADMSG);
  }
  init_ = static_cast<pid_t>(pid);
  pid_t parent = 0;
  if (!ReadStat(init_, &init_start_time_, &parent) || parent != getpid()) {
    UndoCreate();
    return Fail(Failure::kSystem, "the container's init is not our child",
                -ECHILD);
  }
  if (const int error = WritePidFile(init_, init_start_time_); error != 0) {
    UndoCreate();
    return Fail(Failure::kSystem, "write monitor.pid", error);
  }
  if (config_.tty) {
    const int console = ReceiveConsole(console_listen_fd_);
    CloseFd(&console_listen_fd_);
    if (console < 0) {
      UndoCreate();
      return Fail(Failure::kSystem, "receive the terminal", console);
    }
    stdout_.SetFd(console);
    // Linux 4.13. Without it a container that closes its terminal for a moment
    // would look as if its output had ended.
    terminal_fd_ = ioctl(console, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC);
  }
  owns_pid_namespace_ = IsInitOfPidNamespace(init_);
  // Found now: a process that has ended is shown in the root cgroup.
  if (!owns_pid_namespace_ &&
      !FindContainerCgroup(init_, "freezer", &kill_cgroup_) &&
      !FindContainerCgroup(init_, "", &kill_cgroup_)) {
    kill_cgroup_.Clear();
  }
  oom_.Open(init_);
  if (const int error = server_.Listen(); error != 0) {
    UndoCreate();
    return Fail(Failure::kSystem, "listen on monitor.sock", error);
  }
  return true;
}

bool ContainerMonitor::Report() {
  ReadyReport report;
  report.init_pid = init_;
  report.init_start_time = init_start_time_;
  if (!SendMessage(kReportFd, MessageType::kReady, &report, sizeof(report),
                   nullptr, 0)) {
    UndoCreate();  // the daemon has gone and will take it for not created
    return false;
  }
  return true;
}

}  // namespace quoll::runtime::monitor
