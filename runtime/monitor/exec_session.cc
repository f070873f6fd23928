// SPDX-License-Identifier: Apache-2.0
#include "runtime/monitor/exec_session.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <optional>
#include <utility>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"

#include "os/annotate.h"
#include "os/files.h"
#include "os/process.h"
#include "os/random_id.h"
#include "os/status_macros.h"
#include "runtime/monitor/command_oci_runtime.h"
#include "runtime/monitor/monitor_channel.h"
#include "runtime/monitor/monitor_files.h"
#include "runtime/monitor/oci_command.h"
#include "runtime/monitor/runtime_log.h"
#include "spdlog/spdlog.h"

namespace quoll::runtime {
namespace {

using monitor::ExecOutcome;
using monitor::ExecReport;

// After the command's exit, how long output of what it left running is read.
constexpr absl::Duration kDrain = absl::Milliseconds(200);
// The monitor takes 5 s at most to kill everything; then it is killed itself.
constexpr absl::Duration kKillLimit = absl::Seconds(7);
// How often `cancelled` is asked.
constexpr absl::Duration kCancelPoll = absl::Milliseconds(100);

enum class Stop { kNone, kDeadline, kCancelled, kTooMuch };

// A file that is gone when the last descriptor is.
absl::StatusOr<os::UniqueFd> MemoryFile(const std::string& content) {
  os::UniqueFd fd(memfd_create("config", MFD_CLOEXEC));
  if (!fd.valid()) {
    return absl::ErrnoToStatus(errno, "memfd_create");
  }
  QUOLL_RETURN_IF_ERROR(os::WriteAll(fd.get(), content));
  if (lseek(fd.get(), 0, SEEK_SET) != 0) {
    return absl::ErrnoToStatus(errno, "lseek");
  }
  return fd;
}

class Session {
 public:
  Session(const std::string& program, const ExecRequest& request,
          const std::string& sub_cgroup)
      : program_(program),
        request_(request),
        exec_id_(os::RandomHexId(8)),
        scratch_(absl::StrCat(request.bundle, "/exec-", exec_id_)) {
    config_ = BaseConfig(request.container_id, request.bundle, request.runtime);
    config_.emplace_back("exec_id", exec_id_);
    config_.emplace_back("init_pid", absl::StrCat(request.init.pid));
    config_.emplace_back("init_start_time",
                         absl::StrCat(request.init.start_time_ticks));
    config_.emplace_back("sub_cgroup", sub_cgroup);
  }

  absl::Status Start();
  // Reads until everything is said and done.
  void Collect(absl::Time deadline, const std::function<bool()>& cancelled);
  absl::StatusOr<ExecResult> Finish();
  void RemoveScratch() const;

 private:
  absl::StatusOr<os::Pidfd> Spawn(const std::string& mode,
                                  std::vector<std::pair<int, int>> fds);
  void ReadOutput(os::UniqueFd* fd, std::string* into);
  void ReadReportPipe();
  // From now on everything is being killed.
  void StopFor(Stop reason);
  absl::Time NextWakeUp(absl::Time deadline, bool may_cancel) const;
  void KillLeftovers();
  absl::Status StopError() const;
  std::string RuntimeMessage() const;

  const std::string& program_;
  const ExecRequest& request_;
  const std::string exec_id_;
  const std::string scratch_;
  ConfigLines config_;

  os::Pidfd monitor_;
  os::UniqueFd out_;
  os::UniqueFd err_;
  os::UniqueFd report_fd_;
  os::UniqueFd control_;
  absl::StatusOr<MonitorMessage> report_ =
      absl::InternalError("quoll-monitor gave no report");
  absl::Time drain_until_ = absl::InfiniteFuture();
  absl::Time kill_until_ = absl::InfiniteFuture();
  Stop stop_ = Stop::kNone;
  ExecResult result_;
};

absl::StatusOr<os::Pidfd> Session::Spawn(const std::string& mode,
                                         std::vector<std::pair<int, int>> fds) {
  QUOLL_ASSIGN_OR_RETURN(const os::UniqueFd config,
                         MemoryFile(EncodeConfig(config_)));
  fds.emplace_back(config.get(), monitor::kConfigFd);
  os::SpawnRequest spawn;
  spawn.argv = {program_, mode, request_.container_id};
  spawn.env = OciEnvironment();
  spawn.working_dir = request_.bundle;
  spawn.fds = std::move(fds);
  spawn.new_session = true;
  return os::Spawn(spawn);
}

absl::Status Session::Start() {
  QUOLL_RETURN_IF_ERROR(os::ReplaceFile(absl::StrCat(scratch_, ".json"),
                                        request_.process_json, 0600));
  QUOLL_ASSIGN_OR_RETURN(PipeEnds out, MakePipe());
  QUOLL_ASSIGN_OR_RETURN(PipeEnds err, MakePipe());
  QUOLL_ASSIGN_OR_RETURN(PipeEnds report, MakePipe());
  QUOLL_ASSIGN_OR_RETURN(PipeEnds control, MakePipe());
  for (const PipeEnds* ends : {&out, &err, &report}) {
    if (fcntl(ends->read.get(), F_SETFL, O_NONBLOCK) != 0) {
      return absl::ErrnoToStatus(errno, "fcntl");
    }
  }
  QUOLL_ASSIGN_OR_RETURN(
      monitor_, Spawn("exec", {{out.write.get(), STDOUT_FILENO},
                               {err.write.get(), STDERR_FILENO},
                               {report.write.get(), monitor::kReportFd},
                               {control.read.get(), monitor::kControlFd}}));
  out_ = std::move(out.read);
  err_ = std::move(err.read);
  report_fd_ = std::move(report.read);
  control_ = std::move(control.write);
  return absl::OkStatus();
}

void Session::StopFor(Stop reason) {
  if (stop_ == Stop::kNone && report_fd_.valid()) {
    stop_ = reason;
    control_ = os::UniqueFd();
    kill_until_ = absl::Now() + kKillLimit;
  }
}

void Session::ReadOutput(os::UniqueFd* fd, std::string* into) {
  char buffer[64 * 1024];
  const ssize_t size = read(fd->get(), buffer, sizeof(buffer));
  if (size < 0 && (errno == EAGAIN || errno == EINTR)) {
    return;
  }
  if (size <= 0) {
    *fd = os::UniqueFd();
    return;
  }
  const size_t used = result_.out.size() + result_.err.size();
  const size_t room = request_.max_output_bytes - used;
  into->append(buffer, std::min(static_cast<size_t>(size), room));
  if (static_cast<size_t>(size) > room) {
    StopFor(Stop::kTooMuch);
    if (!report_fd_.valid()) {
      stop_ = Stop::kTooMuch;  // it came after the command's end
    }
  }
}

void Session::ReadReportPipe() {
  report_ = ReadReport(report_fd_.get(), absl::InfiniteFuture());
  report_fd_ = os::UniqueFd();
  drain_until_ = absl::Now() + kDrain;
}

absl::Time Session::NextWakeUp(absl::Time deadline, bool may_cancel) const {
  if (!report_fd_.valid()) {
    return drain_until_;
  }
  if (stop_ != Stop::kNone) {
    return kill_until_;
  }
  return may_cancel ? std::min(deadline, absl::Now() + kCancelPoll) : deadline;
}

void Session::Collect(absl::Time deadline,
                      const std::function<bool()>& cancelled) {
  while (report_fd_.valid() || out_.valid() || err_.valid()) {
    const absl::Time now = absl::Now();
    if (report_fd_.valid() && stop_ == Stop::kNone) {
      if (now >= deadline) {
        StopFor(Stop::kDeadline);
      } else if (cancelled && cancelled()) {
        StopFor(Stop::kCancelled);
      }
    }
    const absl::Time wake_up =
        NextWakeUp(deadline, static_cast<bool>(cancelled));
    if (now >= wake_up) {
      return;  // drained long enough, or the monitor does not even kill
    }
    const int64_t timeout_ms =
        wake_up == absl::InfiniteFuture()
            ? -1
            : std::min<int64_t>(absl::ToInt64Milliseconds(wake_up - now) + 1,
                                60'000);
    // poll(2) ignores negative descriptors: those that have ended.
    pollfd fds[3] = {{out_.get(), POLLIN, 0},
                     {err_.get(), POLLIN, 0},
                     {report_fd_.get(), POLLIN, 0}};
    if (poll(fds, 3, static_cast<int>(timeout_ms)) <= 0) {
      continue;
    }
    if (fds[0].revents != 0) {
      ReadOutput(&out_, &result_.out);
    }
    if (fds[1].revents != 0) {
      ReadOutput(&err_, &result_.err);
    }
    if (fds[2].revents != 0) {
      ReadReportPipe();
    }
  }
}

// The monitor was killed or hangs: another one kills what it left.
void Session::KillLeftovers() {
  const absl::StatusOr<os::Pidfd> killer = Spawn("exec-kill", {});
  absl::Status status = killer.status();
  if (status.ok()) {
    status = killer->AwaitExit(absl::Now() + kKillLimit);
    if (!status.ok()) {
      status = os::FirstError(status, killer->Signal(SIGKILL));
    }
    killer->Reap().IgnoreError();
  }
  if (!status.ok()) {
    spdlog::warn("container {}: kill what an exec left: {}",
                 request_.container_id, status.ToString());
  }
}

void Session::RemoveScratch() const {
  for (const char* suffix : {".json", ".log", ".pid"}) {
    unlink(absl::StrCat(scratch_, suffix).c_str());
  }
}

std::string Session::RuntimeMessage() const {
  const absl::StatusOr<std::string> log =
      os::ReadFile(absl::StrCat(scratch_, ".log"));
  std::string message = log.ok() ? LastRuntimeError(*log) : "";
  if (message.empty()) {
    message = LastRuntimeError(result_.err);
  }
  return message.empty() ? "failed without a message" : message;
}

absl::Status Session::StopError() const {
  // KillLeftovers() has logged its own failure.
  std::string killed = "it was killed";
  if (report_.ok()) {
    const absl::StatusOr<ExecReport> report = report_->Take<ExecReport>();
    if (report.ok() && report->outcome == ExecOutcome::kLeftovers) {
      killed = "it was killed, but some of its processes have not ended yet";
    }
  }
  switch (stop_) {
    case Stop::kDeadline:
      return absl::DeadlineExceededError(
          absl::StrCat("the command did not end in time; ", killed));
    case Stop::kCancelled:
      return absl::CancelledError(
          absl::StrCat("the caller left the command; ", killed));
    case Stop::kTooMuch:
      return absl::ResourceExhaustedError(
          absl::StrCat("the command's output is larger than ",
                       request_.max_output_bytes, " bytes; ", killed));
    case Stop::kNone:
      break;
  }
  return absl::OkStatus();
}

absl::StatusOr<ExecResult> Session::Finish() {
  const absl::Cleanup remove_scratch = [this] { RemoveScratch(); };
  if (!report_.ok()) {
    monitor_.Signal(SIGKILL).IgnoreError();
  }
  if (!monitor_.AwaitExit(absl::Now() + kKillLimit).ok()) {
    monitor_.Signal(SIGKILL).IgnoreError();
    monitor_.AwaitExit(absl::Now() + kKillLimit).IgnoreError();
  }
  monitor_.Reap().IgnoreError();
  if (!report_.ok()) {
    KillLeftovers();
  }
  if (stop_ != Stop::kNone) {
    return StopError();
  }
  QUOLL_RETURN_IF_ERROR(report_.status());
  std::string text;
  QUOLL_ASSIGN_OR_RETURN(const ExecReport report,
                         report_->Take<ExecReport>(&text));
  switch (report.outcome) {
    case ExecOutcome::kExited:
      result_.exit_code =
          report.signal != 0 ? 128 + report.signal : report.exit_code;
      return std::move(result_);
    case ExecOutcome::kRuntimeFailed:
      // Unknown is what the kubelet shows to people as it stands.
      return absl::UnknownError(
          absl::StrCat(request_.runtime.name, " exec: ", RuntimeMessage()));
    case ExecOutcome::kNotRunning:
      return absl::FailedPreconditionError("the container is not running");
    case ExecOutcome::kKilled:
    case ExecOutcome::kLeftovers:
    case ExecOutcome::kSystem:
      break;
  }
  return absl::InternalError(absl::StrCat("quoll-monitor: ", text));
}

}  // namespace

std::string OciFlavors::SubCgroup(const OciProgram& program,
                                  absl::Time deadline) {
  {
    absl::MutexLock lock(&mutex_);
    if (const auto it = known_.find(program.program); it != known_.end()) {
      return it->second;
    }
  }
  const absl::StatusOr<std::string> version =
      CommandOciRuntime(program).Version(
          std::min(deadline, absl::Now() + absl::Seconds(10)));
  if (!version.ok()) {
    return "none";  // and asked again next time
  }
  std::string flavor = absl::StartsWith(*version, "runc ")   ? "controller"
                       : absl::StartsWith(*version, "crun ") ? "plain"
                                                             : "none";
  absl::MutexLock lock(&mutex_);
  return known_.emplace(program.program, flavor).first->second;
}

absl::StatusOr<ExecResult> RunExecSession(
    const std::string& monitor_program, const ExecRequest& request,
    const std::string& sub_cgroup, absl::Time deadline,
    const std::function<bool()>& cancelled) {
  const std::string subject =
      absl::StrCat("container ", request.container_id, ": exec");
  Session session(monitor_program, request, sub_cgroup);
  if (const absl::Status started = session.Start(); !started.ok()) {
    session.RemoveScratch();
    return os::Annotate(started, subject);
  }
  session.Collect(deadline, cancelled);
  absl::StatusOr<ExecResult> result = session.Finish();
  return result.ok() ? std::move(result)
                     : os::Annotate(result.status(), subject);
}

}  // namespace quoll::runtime
