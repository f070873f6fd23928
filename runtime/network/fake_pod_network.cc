// SPDX-License-Identifier: Apache-2.0
#include "runtime/network/fake_pod_network.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"

namespace quoll::runtime {

absl::Status FakePodNetwork::Ready() const {
  absl::MutexLock lock(&mu_);
  return ready_;
}

absl::StatusOr<PodNetwork::Attachment> FakePodNetwork::Attach(
    const Request& request, absl::Time deadline) {
  const absl::Notification* gate = nullptr;
  {
    absl::MutexLock lock(&mu_);
    requests_.push_back(request);
    if (!ready_.ok()) {
      return ready_;
    }
    attached_[request.sandbox_id] = State{};
    gate = attach_gate_;
  }
  const bool in_time =
      (gate == nullptr || gate->WaitForNotificationWithDeadline(deadline)) &&
      absl::Now() < deadline;
  absl::MutexLock lock(&mu_);
  absl::Status error = attach_error_;
  if (error.ok() && !in_time) {
    error = absl::DeadlineExceededError("CNI ADD by plugin fake: killed");
  }
  if (!error.ok()) {
    // An undo that fails is owed; the error of ADD is what counts.
    DetachLocked(request.sandbox_id).IgnoreError();
    return error;
  }
  const int number = ++last_address_;
  Attachment attachment;
  attachment.ips = {
      absl::StrCat("10.99.", number / 250, ".", number % 250 + 1)};
  attachment.result_json =
      absl::StrCat(R"({"cniVersion":"1.0.0","ips":[{"address":")",
                   attachment.ips.front(), R"(/16"}]})");
  return attachment;
}

absl::Status FakePodNetwork::DetachLocked(const std::string& sandbox_id) {
  const auto it = attached_.find(sandbox_id);
  if (it == attached_.end()) {
    return absl::OkStatus();
  }
  if (!detach_error_.ok()) {
    it->second.owed = true;
    return detach_error_;
  }
  attached_.erase(it);
  return absl::OkStatus();
}

absl::Status FakePodNetwork::Detach(absl::string_view sandbox_id,
                                    absl::Time /*deadline*/) {
  absl::MutexLock lock(&mu_);
  detaches_.emplace_back(sandbox_id);
  return DetachLocked(detaches_.back());
}

absl::Status FakePodNetwork::Check(absl::string_view sandbox_id,
                                   absl::Time /*deadline*/) {
  absl::MutexLock lock(&mu_);
  const auto it = attached_.find(std::string(sandbox_id));
  if (it == attached_.end()) {
    return absl::NotFoundError(
        absl::StrCat("sandbox ", sandbox_id, ": it is attached to no network"));
  }
  return it->second.owed ? absl::FailedPreconditionError(absl::StrCat(
                               "sandbox ", sandbox_id, ": its DEL is owed"))
                         : absl::OkStatus();
}

bool FakePodNetwork::OwesDetach(absl::string_view sandbox_id) const {
  absl::MutexLock lock(&mu_);
  const auto it = attached_.find(std::string(sandbox_id));
  return it != attached_.end() && it->second.owed;
}

absl::Status FakePodNetwork::Recover(absl::Span<const std::string> live) {
  absl::MutexLock lock(&mu_);
  for (auto& [sandbox_id, state] : attached_) {
    state.owed |= std::find(live.begin(), live.end(), sandbox_id) == live.end();
  }
  return absl::OkStatus();
}

void FakePodNetwork::SetReady(absl::Status status) {
  absl::MutexLock lock(&mu_);
  ready_ = std::move(status);
}

void FakePodNetwork::SetAttachError(absl::Status status) {
  absl::MutexLock lock(&mu_);
  attach_error_ = std::move(status);
}

void FakePodNetwork::SetDetachError(absl::Status status) {
  absl::MutexLock lock(&mu_);
  detach_error_ = std::move(status);
}

void FakePodNetwork::SetAttachGate(const absl::Notification* gate) {
  absl::MutexLock lock(&mu_);
  attach_gate_ = gate;
}

void FakePodNetwork::RetryOwed() {
  absl::MutexLock lock(&mu_);
  if (detach_error_.ok()) {
    std::erase_if(attached_,
                  [](const auto& entry) { return entry.second.owed; });
  }
}

std::vector<std::string> FakePodNetwork::Attached() const {
  absl::MutexLock lock(&mu_);
  std::vector<std::string> ids;
  for (const auto& [sandbox_id, state] : attached_) {
    ids.push_back(sandbox_id);
  }
  return ids;
}

std::vector<PodNetwork::Request> FakePodNetwork::Requests() const {
  absl::MutexLock lock(&mu_);
  return requests_;
}

std::vector<std::string> FakePodNetwork::Detaches() const {
  absl::MutexLock lock(&mu_);
  return detaches_;
}

}  // namespace quoll::runtime
