// SPDX-License-Identifier: Apache-2.0
#include "runtime/monitor/fake_oci_runtime.h"

#include <utility>

#include "absl/strings/str_cat.h"

namespace quoll::runtime {

FakeOciRuntime::FakeOciRuntime(std::string handler)
    : program_{handler,
               absl::StrCat("/nonexistent/", handler),
               absl::StrCat("/nonexistent/root/", handler),
               {}} {}

absl::Status FakeOciRuntime::Enter(Step step, std::string call,
                                   absl::Time deadline) {
  absl::Notification* gate = nullptr;
  {
    absl::MutexLock lock(&mutex_);
    calls_.push_back(std::move(call));
    if (const auto it = gates_.find(step); it != gates_.end()) {
      gate = it->second;
    }
  }
  if (gate != nullptr && !gate->WaitForNotificationWithDeadline(deadline)) {
    return absl::DeadlineExceededError("fake runtime: held up by the test");
  }
  absl::MutexLock lock(&mutex_);
  const auto it = errors_.find(step);
  return it == errors_.end() ? absl::OkStatus() : it->second;
}

absl::Status FakeOciRuntime::Start(const std::string& container_id,
                                   absl::Time deadline) {
  return Enter(Step::kStart, absl::StrCat("start ", container_id), deadline);
}

absl::Status FakeOciRuntime::KillAll(const std::string& container_id, int signo,
                                     absl::Time deadline) {
  if (absl::Status entered =
          Enter(Step::kKillAll, absl::StrCat("kill ", container_id, " ", signo),
                deadline);
      !entered.ok()) {
    return entered;
  }
  OnKill on_kill;
  {
    absl::MutexLock lock(&mutex_);
    on_kill = on_kill_;
  }
  if (on_kill) {
    on_kill(container_id, signo);
  }
  return absl::OkStatus();
}

absl::Status FakeOciRuntime::Delete(const std::string& container_id, bool force,
                                    absl::Time deadline) {
  return Enter(Step::kDelete,
               absl::StrCat("delete ", force ? "--force " : "", container_id),
               deadline);
}

absl::Status FakeOciRuntime::Update(const std::string& container_id,
                                    const std::string& resources_json,
                                    absl::Time deadline) {
  return Enter(Step::kUpdate,
               absl::StrCat("update ", container_id, " ", resources_json),
               deadline);
}

absl::StatusOr<std::string> FakeOciRuntime::Version(absl::Time deadline) {
  if (absl::Status entered = Enter(Step::kVersion, "version", deadline);
      !entered.ok()) {
    return entered;
  }
  return absl::StrCat(program_.name, " version fake");
}

void FakeOciRuntime::SetError(Step step, absl::Status error) {
  absl::MutexLock lock(&mutex_);
  errors_[step] = std::move(error);
}

void FakeOciRuntime::SetGate(Step step, absl::Notification* gate) {
  absl::MutexLock lock(&mutex_);
  if (gate == nullptr) {
    gates_.erase(step);
  } else {
    gates_[step] = gate;
  }
}

void FakeOciRuntime::SetOnKill(OnKill on_kill) {
  absl::MutexLock lock(&mutex_);
  on_kill_ = std::move(on_kill);
}

std::vector<std::string> FakeOciRuntime::calls() const {
  absl::MutexLock lock(&mutex_);
  return calls_;
}

}  // namespace quoll::runtime
