// SPDX-License-Identifier: Apache-2.0
#include "os/fake_host_actions.h"

#include <limits>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"

#include "os/files.h"
#include "os/status_macros.h"

namespace quoll::os {
namespace {

// Past the largest pid_max that Linux allows (2^22): signals reach nobody.
constexpr ProcessIdentity kInventedPause = {std::numeric_limits<pid_t>::max(),
                                            1};

// The rule of os/helper/sysctl.cc, without its spelling variants.
bool IsOwned(absl::string_view sysctl, const PinRequest& request) {
  if (absl::StartsWith(sysctl, "net.")) {
    return request.net;
  }
  if (absl::StartsWith(sysctl, "fs.mqueue.") ||
      absl::StartsWith(sysctl, "kernel.shm") ||
      absl::StartsWith(sysctl, "kernel.msg") || sysctl == "kernel.sem") {
    return request.ipc;
  }
  return request.uts &&
         (sysctl == "kernel.domainname" || sysctl == "kernel.hostname");
}

std::vector<std::string> PinFiles(const PinRequest& request) {
  std::vector<std::string> files;
  const std::pair<bool, const char*> kinds[] = {{request.net, "net"},
                                                {request.ipc, "ipc"},
                                                {request.uts, "uts"},
                                                {request.pid, "pid"}};
  for (const auto& [wanted, kind] : kinds) {
    if (wanted) {
      files.push_back(absl::StrCat(request.dir, "/", kind));
    }
  }
  return files;
}

}  // namespace

absl::Status FakeHostActions::Begin(const std::string& call,
                                    const std::string& target,
                                    absl::Time deadline) {
  calls_.push_back(absl::StrCat(call, " ", target));
  if (absl::Now() >= deadline) {
    return absl::DeadlineExceededError(
        absl::StrCat(call, " ", target, ": the deadline has passed"));
  }
  if (const auto it = failing_calls_.find(calls_.size());
      it != failing_calls_.end()) {
    return it->second;
  }
  if (const auto it = failing_targets_.find(target);
      it != failing_targets_.end()) {
    return it->second;
  }
  if (target.empty() || target.front() != '/') {
    return absl::InvalidArgumentError(
        absl::StrCat(call, " \"", target, "\": not absolute"));
  }
  return absl::OkStatus();
}

absl::StatusOr<PinnedNamespaces> FakeHostActions::Pin(const PinRequest& request,
                                                      absl::Time deadline) {
  const absl::MutexLock lock(&mutex_);
  QUOLL_RETURN_IF_ERROR(Begin("pin", request.dir, deadline));
  for (const auto& [name, value] : request.sysctls) {
    if (!IsOwned(name, request)) {
      return absl::InvalidArgumentError(absl::StrCat(
          "sysctl ", name, " does not belong to the pod's own namespaces"));
    }
  }
  if (pinned_.count(request.dir) != 0) {
    return absl::AlreadyExistsError(
        absl::StrCat("pin namespaces in ", request.dir, ": pinned already"));
  }
  for (const std::string& file : PinFiles(request)) {
    QUOLL_RETURN_IF_ERROR(ReplaceFile(file, "", 0444));
  }
  pinned_[request.dir] = request;
  PinnedNamespaces result;
  if (request.pid) {
    result.pause = pause_.pid != 0 ? pause_ : kInventedPause;
    pause_ = {};
  }
  return result;
}

absl::Status FakeHostActions::Unpin(const std::string& dir,
                                    absl::Time deadline) {
  const absl::MutexLock lock(&mutex_);
  QUOLL_RETURN_IF_ERROR(Begin("unpin", dir, deadline));
  for (const char* kind : {"net", "ipc", "uts", "pid", "user"}) {
    QUOLL_RETURN_IF_ERROR(RemoveTree(absl::StrCat(dir, "/", kind)));
  }
  // Something else in it is a finding, as it is for the real one.
  if (const auto left = ListDirectory(dir); left.ok() && !left->empty()) {
    return absl::FailedPreconditionError(absl::StrCat(
        "remove the directory of pins ", dir, ": Directory not empty"));
  }
  pinned_.erase(dir);
  return RemoveTree(dir);
}

absl::StatusOr<HostActions::HostPath> FakeHostActions::ProbePath(
    const std::string& path, bool create_missing, absl::Time deadline) {
  const absl::MutexLock lock(&mutex_);
  QUOLL_RETURN_IF_ERROR(Begin("probe", path, deadline));
  HostPath directory;
  directory.resolved = path;
  directory.is_directory = true;
  const auto it = paths_.find(path);
  if (it == paths_.end()) {
    return directory;
  }
  if (absl::IsNotFound(it->second.status()) && create_missing) {
    it->second = directory;
    directory.created = true;
    return directory;
  }
  return it->second;
}

void FakeHostActions::SetPath(const std::string& path,
                              absl::StatusOr<HostPath> answer) {
  const absl::MutexLock lock(&mutex_);
  paths_.insert_or_assign(path, std::move(answer));
}

void FakeHostActions::SetPause(const ProcessIdentity& pause) {
  const absl::MutexLock lock(&mutex_);
  pause_ = pause;
}

std::map<std::string, PinRequest> FakeHostActions::pinned() const {
  const absl::MutexLock lock(&mutex_);
  return pinned_;
}

std::vector<std::string> FakeHostActions::calls() const {
  const absl::MutexLock lock(&mutex_);
  return calls_;
}

void FakeHostActions::FailCall(int k, absl::Status status) {
  const absl::MutexLock lock(&mutex_);
  failing_calls_[calls_.size() + static_cast<size_t>(k)] = std::move(status);
}

void FakeHostActions::FailTarget(const std::string& target,
                                 absl::Status status) {
  const absl::MutexLock lock(&mutex_);
  if (status.ok()) {
    failing_targets_.erase(target);
  } else {
    failing_targets_[target] = std::move(status);
  }
}

}  // namespace quoll::os
