// SPDX-License-Identifier: Apache-2.0
#include "runtime/monitor/process_monitors.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/epoll.h>
#include <unistd.h>

#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"

#include "os/annotate.h"
#include "os/files.h"
#include "os/status_macros.h"
#include "runtime/monitor/monitor_channel.h"
#include "runtime/monitor/monitor_files.h"
#include "runtime/monitor/oci_command.h"
#include "runtime/monitor/runtime_log.h"
#include "spdlog/spdlog.h"

namespace quoll::runtime {
namespace {

// For undoing a launch whose own time is over.
constexpr absl::Duration kUndoLimit = absl::Seconds(15);

std::string Subject(absl::string_view container_id) {
  return absl::StrCat("container ", container_id);
}

// Nobody is told through CRI before the container ends.
void LogLoss(absl::string_view container_id) {
  spdlog::error(
      "{}: its monitor was killed; what it prints is lost from now on, and its "
      "exit code will not be known",
      Subject(container_id));
}

// What the monitor said when the launch failed, in the OCI runtime's words
// where it was the runtime.
absl::Status LaunchError(const MonitorLaunch& launch,
                         const MonitorMessage& message) {
  std::string text;
  const absl::StatusOr<monitor::FailureReport> report =
      message.Take<monitor::FailureReport>(&text);
  QUOLL_RETURN_IF_ERROR(report.status());
  if (report->failure == monitor::Failure::kSystem) {
    return absl::InternalError(absl::StrCat("quoll-monitor: ", text));
  }
  const absl::StatusOr<std::string> log =
      os::ReadFile(absl::StrCat(launch.bundle, "/", monitor::kRuntimeLog));
  std::string words = log.ok() ? LastRuntimeError(*log) : "";
  if (words.empty()) {
    words = LastRuntimeError(text);
  }
  return absl::FailedPreconditionError(absl::StrCat(
      launch.runtime.name,
      " create: ", words.empty() ? "failed without a message" : words));
}

}  // namespace

// One container that is watched. The pidfd is the monitor's, or, when that was
// killed, the init's.
struct ProcessMonitors::Watched {
  Watched(std::string id, std::string bundle_path,
          const LaunchedContainer& identities, OnExit callback)
      : container_id(std::move(id)),
        bundle(std::move(bundle_path)),
        container(identities),
        on_exit(std::move(callback)) {}

  const std::string container_id;
  const std::string bundle;
  const LaunchedContainer container;
  OnExit on_exit;

  absl::Mutex mutex;
  os::Pidfd pidfd ABSL_GUARDED_BY(mutex);
  os::EventLoop::Token token ABSL_GUARDED_BY(mutex) = 0;
  bool unwatched ABSL_GUARDED_BY(mutex) = false;
  pid_t calling ABSL_GUARDED_BY(mutex) = 0;  // the thread in on_exit
};

// A monitor that this process started, until it is reaped.
struct ProcessMonitors::Child {
  os::Pidfd pidfd;
  os::EventLoop::Token token = 0;
};

ProcessMonitors::ProcessMonitors(Options options, os::EventLoop& loop)
    : options_(std::move(options)), loop_(loop) {}

ProcessMonitors::~ProcessMonitors() {
  std::vector<std::string> ids;
  std::map<uint64_t, std::shared_ptr<Child>> children;
  {
    absl::MutexLock lock(&mutex_);
    for (const auto& [id, watched] : watched_) {
      ids.push_back(id);
    }
    children.swap(children_);
  }
  for (const std::string& id : ids) {
    ProcessMonitors::Unwatch(id);
  }
  for (const auto& [key, child] : children) {
    loop_.Remove(child->token);
  }
}

absl::StatusOr<os::Pidfd> ProcessMonitors::Spawn(const MonitorLaunch& launch,
                                                 os::UniqueFd report) {
  ConfigLines config =
      BaseConfig(launch.container_id, launch.bundle, launch.runtime);
  config.emplace_back("log_path", launch.log_path);
  config.emplace_back("tty", launch.tty ? "1" : "0");
  config.emplace_back("stdin", launch.stdin ? "1" : "0");
  config.emplace_back("stdin_once", launch.stdin_once ? "1" : "0");
  const std::string config_path =
      absl::StrCat(launch.bundle, "/", monitor::kConfigFile);
  QUOLL_RETURN_IF_ERROR(
      os::ReplaceFile(config_path, EncodeConfig(config), 0600));
  const os::UniqueFd config_fd(
      ::open(config_path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!config_fd.valid()) {
    return absl::ErrnoToStatus(errno, config_path);
  }
  os::SpawnRequest spawn;
  spawn.argv = {options_.monitor_program, "container", launch.container_id};
  spawn.env = OciEnvironment();
  spawn.working_dir = launch.bundle;
  spawn.fds = {{config_fd.get(), monitor::kConfigFd},
               {report.get(), monitor::kReportFd}};
  spawn.cgroup_procs_files = launch.cgroup_procs_files;
  spawn.new_session = true;
  return os::Spawn(spawn);
}

absl::StatusOr<LaunchedContainer> ProcessMonitors::AwaitReady(
    const MonitorLaunch& launch, const os::Pidfd& monitor, int report_fd,
    absl::Time deadline) {
  QUOLL_ASSIGN_OR_RETURN(const MonitorMessage message,
                         ReadReport(report_fd, deadline));
  if (message.type != monitor::MessageType::kReady) {
    return LaunchError(launch, message);
  }
  QUOLL_ASSIGN_OR_RETURN(const monitor::ReadyReport ready,
                         message.Take<monitor::ReadyReport>());
  return LaunchedContainer{monitor.identity(),
                           {ready.init_pid, ready.init_start_time}};
}

absl::StatusOr<LaunchedContainer> ProcessMonitors::Launch(
    const MonitorLaunch& launch, absl::Time deadline) {
  absl::StatusOr<LaunchedContainer> result;
  {
    absl::StatusOr<PipeEnds> report = MakePipe();
    if (!report.ok()) {
      return os::Annotate(report.status(), Subject(launch.container_id));
    }
    absl::StatusOr<os::Pidfd> monitor = Spawn(launch, std::move(report->write));
    if (!monitor.ok()) {
      return os::Annotate(
          monitor.status(),
          absl::StrCat(Subject(launch.container_id), ": start its monitor"));
    }
    result = AwaitReady(launch, *monitor, report->read.get(), deadline);
    AdoptChild(*std::move(monitor));
    // Here the pipe closes: a monitor that has not reported undoes its work.
  }
  if (result.ok()) {
    return result;
  }
  // Most often nothing is left by now; this makes sure.
  const absl::Status undone = Discard(launch.container_id, launch.bundle,
                                      launch.runtime, absl::Now() + kUndoLimit);
  return os::FirstError(
      os::Annotate(result.status(), Subject(launch.container_id)), undone);
}

void ProcessMonitors::AdoptChild(os::Pidfd monitor) {
  auto child = std::make_shared<Child>();
  child->pidfd = std::move(monitor);
  // Held across Add(), so that the callback finds the token.
  absl::MutexLock lock(&mutex_);
  const uint64_t key = next_child_++;
  const absl::StatusOr<os::EventLoop::Token> token = loop_.Add(
      child->pidfd.fd(), EPOLLIN, [this, key](uint32_t) { OnChildExit(key); });
  if (!token.ok()) {
    return;  // no memory in the kernel: its zombie stays until we end
  }
  child->token = *token;
  children_.emplace(key, std::move(child));
}

void ProcessMonitors::OnChildExit(uint64_t key) {
  std::shared_ptr<Child> child;
  {
    absl::MutexLock lock(&mutex_);
    const auto it = children_.find(key);
    if (it == children_.end()) {
      return;
    }
    child = std::move(it->second);
    children_.erase(it);
  }
  loop_.Remove(child->token);
  // NotFound when Discard() was faster.
  child->pidfd.Reap().IgnoreError();
}

absl::Status ProcessMonitors::Discard(const std::string& container_id,
                                      const std::string& bundle,
                                      const OciProgram& runtime,
                                      absl::Time deadline) {
  // Kills first and asks later: a monitor that is stopped or stuck must not
  // keep its container. A create that it runs dies with it (PDEATHSIG).
  const absl::StatusOr<LaunchedContainer> known = ReadMonitorPid(bundle);
  if (known.ok()) {
    for (const os::ProcessIdentity& identity : {known->monitor, known->init}) {
      const absl::StatusOr<os::Pidfd> pidfd = os::Pidfd::Open(identity);
      if (!pidfd.ok()) {
        continue;  // gone
      }
      absl::Status status = pidfd->Signal(SIGKILL);
      if (status.ok()) {
        status = pidfd->AwaitExit(deadline);
      }
      pidfd->Reap().IgnoreError();  // ours or not
      if (!status.ok()) {
        return os::Annotate(status, Subject(container_id));
      }
    }
  }
  return os::Annotate(
      DeleteOciState(runtime, container_id, /*force=*/true, deadline),
      Subject(container_id));
}

absl::Status ProcessMonitors::Watch(const std::string& container_id,
                                    const std::string& bundle,
                                    const LaunchedContainer& container,
                                    OnExit on_exit) {
  Unwatch(container_id);
  auto watched = std::make_shared<Watched>(container_id, bundle, container,
                                           std::move(on_exit));
  {
    absl::MutexLock lock(&mutex_);
    watched_[container_id] = watched;
  }
  absl::Status status;
  absl::StatusOr<os::Pidfd> monitor = os::Pidfd::Open(container.monitor);
  if (monitor.ok()) {
    status = WatchProcess(watched, *std::move(monitor));
  } else if (const absl::StatusOr<ExitRecord> record = ReadExitRecord(bundle);
             !absl::IsNotFound(record.status())) {
    loop_.Post([this, watched, record] { Deliver(watched, record); });
  } else {
    // The monitor was killed; the container may live on without it.
    LogLoss(container_id);
    absl::StatusOr<os::Pidfd> init = os::Pidfd::Open(container.init);
    status = init.ok() ? WatchProcess(watched, *std::move(init))
                       : absl::NotFoundError(
                             "its monitor and its init are gone and there is "
                             "no exit record");
  }
  if (!status.ok()) {
    Forget(watched);
  }
  return os::Annotate(status, Subject(container_id));
}

absl::Status ProcessMonitors::WatchProcess(
    const std::shared_ptr<Watched>& watched, os::Pidfd pidfd) {
  absl::MutexLock lock(&watched->mutex);
  if (watched->unwatched) {
    return absl::OkStatus();
  }
  QUOLL_ASSIGN_OR_RETURN(
      const os::EventLoop::Token token,
      loop_.Add(pidfd.fd(), EPOLLIN,
                [this, watched](uint32_t) { OnWatchedExit(watched); }));
  watched->pidfd = std::move(pidfd);
  watched->token = token;
  return absl::OkStatus();
}

void ProcessMonitors::OnWatchedExit(const std::shared_ptr<Watched>& watched) {
  bool init_ended = false;
  os::Pidfd ended;
  {
    absl::MutexLock lock(&watched->mutex);
    if (watched->unwatched || watched->token == 0) {
      return;
    }
    loop_.Remove(std::exchange(watched->token, 0));
    ended = std::move(watched->pidfd);
    init_ended = ended.identity() == watched->container.init;
  }
  absl::StatusOr<ExitRecord> record = ReadExitRecord(watched->bundle);
  if (!absl::IsNotFound(record.status())) {
    Deliver(watched, record);
    return;
  }
  if (!init_ended) {
    LogLoss(watched->container_id);
    absl::StatusOr<os::Pidfd> init = os::Pidfd::Open(watched->container.init);
    if (init.ok() && WatchProcess(watched, *std::move(init)).ok()) {
      return;
    }
  }
  Deliver(watched, absl::DataLossError(absl::StrCat(
                       Subject(watched->container_id),
                       ": its monitor was killed and left no exit record")));
}

void ProcessMonitors::Deliver(const std::shared_ptr<Watched>& watched,
                              const absl::StatusOr<ExitRecord>& result) {
  {
    absl::MutexLock lock(&watched->mutex);
    if (watched->unwatched) {
      return;
    }
    watched->unwatched = true;  // once
    watched->calling = gettid();
  }
  watched->on_exit(result);
  Forget(watched);
  absl::MutexLock lock(&watched->mutex);
  watched->calling = 0;
}

void ProcessMonitors::Forget(const std::shared_ptr<Watched>& watched) {
  absl::MutexLock lock(&mutex_);
  const auto it = watched_.find(watched->container_id);
  if (it != watched_.end() && it->second == watched) {
    watched_.erase(it);
  }
}

void ProcessMonitors::Unwatch(absl::string_view container_id) {
  std::shared_ptr<Watched> watched;
  {
    absl::MutexLock lock(&mutex_);
    const auto it = watched_.find(container_id);
    if (it == watched_.end()) {
      return;
    }
    watched = it->second;
  }
  os::EventLoop::Token token = 0;
  {
    absl::MutexLock lock(&watched->mutex);
    watched->unwatched = true;
    token = std::exchange(watched->token, 0);
  }
  if (token != 0) {
    loop_.Remove(token);
  }
  Forget(watched);
  absl::MutexLock lock(&watched->mutex);
  const auto idle = [&watched]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(watched->mutex) {
    return watched->calling == 0 || watched->calling == gettid();
  };
  watched->mutex.Await(absl::Condition(&idle));
}

absl::Status ProcessMonitors::ReopenLog(const std::string& bundle,
                                        absl::Time deadline) {
  absl::StatusOr<MonitorMessage> message =
      Ask(bundle, monitor::MessageType::kReopenLog, deadline);
  absl::StatusOr<monitor::Reply> reply =
      message.ok() ? message->Take<monitor::Reply>() : message.status();
  if (!reply.ok()) {
    return os::Annotate(reply.status(), "reopen log");
  }
  return reply->error == 0 ? absl::OkStatus()
                           : absl::ErrnoToStatus(reply->error, "reopen log");
}

absl::StatusOr<ExecResult> ProcessMonitors::ExecSync(
    const ExecRequest& request, absl::Time deadline,
    std::function<bool()> cancelled) {
  return RunExecSession(options_.monitor_program, request,
                        flavors_.SubCgroup(request.runtime, deadline), deadline,
                        cancelled);
}

}  // namespace quoll::runtime
