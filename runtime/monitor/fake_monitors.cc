// SPDX-License-Identifier: Apache-2.0
#include "runtime/monitor/fake_monitors.h"

#include <unistd.h>

#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"

namespace quoll::runtime {

absl::Status FakeMonitors::Pass(Step step, absl::Time deadline) {
  absl::Notification* gate = nullptr;
  {
    absl::MutexLock lock(&mutex_);
    if (const auto it = gates_.find(step); it != gates_.end()) {
      gate = it->second;
    }
  }
  if (gate != nullptr && !gate->WaitForNotificationWithDeadline(deadline)) {
    return absl::DeadlineExceededError("fake monitor: held up by the test");
  }
  absl::MutexLock lock(&mutex_);
  const auto it = errors_.find(step);
  return it == errors_.end() ? absl::OkStatus() : it->second;
}

absl::StatusOr<LaunchedContainer> FakeMonitors::Launch(
    const MonitorLaunch& launch, absl::Time deadline) {
  {
    absl::MutexLock lock(&mutex_);
    launches_.push_back(launch);
  }
  if (absl::Status passed = Pass(Step::kLaunch, deadline); !passed.ok()) {
    return passed;
  }
  absl::MutexLock lock(&mutex_);
  Container container;
  container.identity.monitor = {next_pid_++, 1};
  container.identity.init = {next_pid_++, 1};
  const LaunchedContainer identity = container.identity;
  if (!containers_.emplace(launch.container_id, std::move(container)).second) {
    return absl::AlreadyExistsError(
        absl::StrCat("container ", launch.container_id, ": exists already"));
  }
  return identity;
}

absl::Status FakeMonitors::Discard(const std::string& container_id,
                                   const std::string& /*bundle*/,
                                   const OciProgram& /*runtime*/,
                                   absl::Time deadline) {
  if (absl::Status passed = Pass(Step::kDiscard, deadline); !passed.ok()) {
    return passed;
  }
  // Whoever watches learns of the end, as with a real init that is killed.
  Finish(container_id, absl::DataLossError(absl::StrCat(
                           "container ", container_id, ": was discarded")));
  absl::MutexLock lock(&mutex_);
  discarded_.push_back(container_id);
  containers_.erase(container_id);
  return absl::OkStatus();
}

absl::Status FakeMonitors::Watch(const std::string& container_id,
                                 const std::string& /*bundle*/,
                                 const LaunchedContainer& container,
                                 OnExit on_exit) {
  if (absl::Status passed = Pass(Step::kWatch, absl::InfiniteFuture());
      !passed.ok()) {
    return passed;
  }
  absl::StatusOr<ExitRecord> result = absl::UnknownError("");
  {
    absl::MutexLock lock(&mutex_);
    const auto it = containers_.find(container_id);
    if (it == containers_.end() ||
        it->second.identity.init.pid != container.init.pid) {
      return absl::NotFoundError(
          absl::StrCat("container ", container_id, ": nothing to watch"));
    }
    if (!it->second.ended) {
      it->second.on_exit = std::move(on_exit);
      return absl::OkStatus();
    }
    result = it->second.result;
    telling_.emplace(container_id, gettid());
  }
  Tell(on_exit, container_id, result);
  return absl::OkStatus();
}

void FakeMonitors::Unwatch(absl::string_view container_id) {
  const auto idle = [this,
                     container_id]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    const auto [from, to] = telling_.equal_range(container_id);
    for (auto it = from; it != to; ++it) {
      if (it->second != gettid()) {
        return false;
      }
    }
    return true;
  };
  absl::MutexLock lock(&mutex_);
  if (const auto it = containers_.find(std::string(container_id));
      it != containers_.end()) {
    it->second.on_exit = nullptr;
  }
  mutex_.Await(absl::Condition(&idle));
}

absl::Status FakeMonitors::ReopenLog(const std::string& bundle,
                                     absl::Time deadline) {
  if (absl::Status passed = Pass(Step::kReopenLog, deadline); !passed.ok()) {
    return passed;
  }
  absl::MutexLock lock(&mutex_);
  reopened_.push_back(bundle);
  return absl::OkStatus();
}

absl::StatusOr<ExecResult> FakeMonitors::ExecSync(
    const ExecRequest& request, absl::Time deadline,
    std::function<bool()> /*cancelled*/) {
  ExecScript script;
  {
    absl::MutexLock lock(&mutex_);
    execs_.push_back(request);
    script = exec_;
  }
  if (absl::Status passed = Pass(Step::kExecSync, deadline); !passed.ok()) {
    return passed;
  }
  return script ? script(request) : ExecResult{};
}

void FakeMonitors::Tell(const OnExit& on_exit, const std::string& container_id,
                        const absl::StatusOr<ExitRecord>& result) {
  on_exit(result);
  absl::MutexLock lock(&mutex_);
  const auto [from, to] = telling_.equal_range(container_id);
  for (auto it = from; it != to; ++it) {
    if (it->second == gettid()) {
      telling_.erase(it);
      return;
    }
  }
}

void FakeMonitors::Finish(const std::string& container_id,
                          const absl::StatusOr<ExitRecord>& result) {
  OnExit on_exit;
  {
    absl::MutexLock lock(&mutex_);
    const auto it = containers_.find(container_id);
    if (it == containers_.end() || it->second.ended) {
      return;
    }
    it->second.ended = true;
    it->second.result = result;
    on_exit = std::exchange(it->second.on_exit, nullptr);
    if (on_exit) {
      telling_.emplace(container_id, gettid());
    }
  }
  if (on_exit) {
    Tell(on_exit, container_id, result);
  }
}

void FakeMonitors::End(const std::string& container_id,
                       const ExitRecord& record) {
  Finish(container_id, record);
}

void FakeMonitors::Lose(const std::string& container_id) {
  Finish(container_id, absl::DataLossError(absl::StrCat(
                           "container ", container_id,
                           ": its monitor is gone and left no exit record")));
}

void FakeMonitors::Reboot() {
  absl::MutexLock lock(&mutex_);
  containers_.clear();
}

void FakeMonitors::SetError(Step step, absl::Status error) {
  absl::MutexLock lock(&mutex_);
  errors_[step] = std::move(error);
}

void FakeMonitors::SetGate(Step step, absl::Notification* gate) {
  absl::MutexLock lock(&mutex_);
  if (gate == nullptr) {
    gates_.erase(step);
  } else {
    gates_[step] = gate;
  }
}

void FakeMonitors::SetExec(ExecScript script) {
  absl::MutexLock lock(&mutex_);
  exec_ = std::move(script);
}

std::vector<MonitorLaunch> FakeMonitors::launches() const {
  absl::MutexLock lock(&mutex_);
  return launches_;
}

std::vector<std::string> FakeMonitors::discarded() const {
  absl::MutexLock lock(&mutex_);
  return discarded_;
}

std::vector<std::string> FakeMonitors::reopened() const {
  absl::MutexLock lock(&mutex_);
  return reopened_;
}

std::vector<ExecRequest> FakeMonitors::execs() const {
  absl::MutexLock lock(&mutex_);
  return execs_;
}

std::vector<std::string> FakeMonitors::running() const {
  absl::MutexLock lock(&mutex_);
  std::vector<std::string> ids;
  for (const auto& [id, container] : containers_) {
    if (!container.ended) {
      ids.push_back(id);
    }
  }
  return ids;
}

bool FakeMonitors::IsWatched(absl::string_view container_id) const {
  absl::MutexLock lock(&mutex_);
  const auto it = containers_.find(std::string(container_id));
  return it != containers_.end() && it->second.on_exit != nullptr;
}

}  // namespace quoll::runtime
