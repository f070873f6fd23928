// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <map>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"

#include "os/helper.h"

namespace quoll::os {

// HostActions without namespaces: pins are empty files in the request's
// directory, pause is a number. Passes os/host_actions_contract.h, as the real
// one does. Thread-safe.
class FakeHostActions : public HostActions {
 public:
  absl::StatusOr<PinnedNamespaces> Pin(const PinRequest& request,
                                       absl::Time deadline) override;
  absl::Status Unpin(const std::string& dir, absl::Time deadline) override;
  // What SetPath() said; else the path is there, a directory, and resolved.
  absl::StatusOr<HostPath> ProbePath(const std::string& path,
                                     bool create_missing,
                                     absl::Time deadline) override;

  // The answer for one path. A NotFound becomes a created directory when the
  // call asks for that.
  void SetPath(const std::string& path, absl::StatusOr<HostPath> answer);
  // The pause of the next pod that wants one, instead of an invented process
  // that cannot exist.
  void SetPause(const ProcessIdentity& pause);

  // What is pinned now, by directory.
  std::map<std::string, PinRequest> pinned() const;
  // Every call, failed ones too: "pin /d", "unpin /d", "probe /p".
  std::vector<std::string> calls() const;

  // The k-th call from now on (1: the next) fails, without effect.
  void FailCall(int k, absl::Status status);
  // Each call for this directory or path fails until it is set to OK.
  void FailTarget(const std::string& target, absl::Status status);

 private:
  absl::Status Begin(const std::string& call, const std::string& target,
                     absl::Time deadline) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  mutable absl::Mutex mutex_;
  std::map<std::string, PinRequest> pinned_ ABSL_GUARDED_BY(mutex_);
  std::map<std::string, absl::StatusOr<HostPath>> paths_
      ABSL_GUARDED_BY(mutex_);
  ProcessIdentity pause_ ABSL_GUARDED_BY(mutex_);
  std::vector<std::string> calls_ ABSL_GUARDED_BY(mutex_);
  std::map<size_t, absl::Status> failing_calls_ ABSL_GUARDED_BY(mutex_);
  std::map<std::string, absl::Status> failing_targets_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace quoll::os
