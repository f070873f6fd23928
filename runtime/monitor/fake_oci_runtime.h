// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <map>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/synchronization/notification.h"
#include "absl/time/time.h"

#include "runtime/monitor/oci_runtime.h"

namespace quoll::runtime {

// An OCI runtime that only remembers what it was asked, for tests. A test makes
// a container end on a kill by SetOnKill() and FakeMonitors::End().
// Thread-safe; the hooks run on the caller's thread without a lock.
class FakeOciRuntime : public OciRuntime {
 public:
  enum class Step { kStart, kKillAll, kDelete, kUpdate, kVersion };

  explicit FakeOciRuntime(std::string handler = "runc");

  const OciProgram& program() const override { return program_; }
  absl::Status Start(const std::string& container_id,
                     absl::Time deadline) override;
  absl::Status KillAll(const std::string& container_id, int signo,
                       absl::Time deadline) override;
  absl::Status Delete(const std::string& container_id, bool force,
                      absl::Time deadline) override;
  absl::Status Update(const std::string& container_id,
                      const std::string& resources_json,
                      absl::Time deadline) override;
  absl::StatusOr<std::string> Version(absl::Time deadline) override;

  // As in FakeMonitors.
  void SetError(Step step, absl::Status error);
  void SetGate(Step step, absl::Notification* gate);
  // Runs in a KillAll that does not fail.
  using OnKill = std::function<void(const std::string& id, int signo)>;
  void SetOnKill(OnKill on_kill);

  // "start ID", "kill ID 9", "delete ID", "delete --force ID",
  // "update ID JSON", in order; those that failed too.
  std::vector<std::string> calls() const;

 private:
  absl::Status Enter(Step step, std::string call, absl::Time deadline);

  const OciProgram program_;
  mutable absl::Mutex mutex_;
  std::map<Step, absl::Status> errors_ ABSL_GUARDED_BY(mutex_);
  std::map<Step, absl::Notification*> gates_ ABSL_GUARDED_BY(mutex_);
  OnKill on_kill_ ABSL_GUARDED_BY(mutex_);
  std::vector<std::string> calls_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace quoll::runtime
