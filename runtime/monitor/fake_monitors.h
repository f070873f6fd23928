// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <map>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"
#include "absl/synchronization/notification.h"
#include "absl/time/time.h"

#include "runtime/monitor/monitors.h"

namespace quoll::runtime {

// Monitors without processes, for tests. Containers exist from Launch() until
// Discard() and end when the test says so: End(). The identities it gives out
// belong to no process (their pids are above the kernel's limit), so code that
// signals them does nothing to anybody. Thread-safe; on_exit runs on the thread
// that calls End(), Lose() or Watch().
class FakeMonitors : public Monitors {
 public:
  // A call that a test may hold up or let fail.
  enum class Step { kLaunch, kDiscard, kWatch, kReopenLog, kExecSync };

  absl::StatusOr<LaunchedContainer> Launch(const MonitorLaunch& launch,
                                           absl::Time deadline) override;
  absl::Status Discard(const std::string& container_id,
                       const std::string& bundle, const OciProgram& runtime,
                       absl::Time deadline) override;
  absl::Status Watch(const std::string& container_id, const std::string& bundle,
                     const LaunchedContainer& container,
                     OnExit on_exit) override;
  void Unwatch(absl::string_view container_id) override;
  absl::Status ReopenLog(const std::string& bundle,
                         absl::Time deadline) override;
  absl::StatusOr<ExecResult> ExecSync(const ExecRequest& request,
                                      absl::Time deadline,
                                      std::function<bool()> cancelled) override;

  // The container has ended. Its watcher is told, a later one too.
  void End(const std::string& container_id, const ExitRecord& record);
  // Its monitor was killed and left no record: watchers get DataLoss.
  void Lose(const std::string& container_id);
  // The node was rebooted: nothing runs, no record is left.
  void Reboot();

  // Every call of `step` fails with it until it is set to OK.
  void SetError(Step step, absl::Status error);
  // Every call of `step` waits for it (or its own deadline, which is then its
  // error); nullptr: no more. Borrowed.
  void SetGate(Step step, absl::Notification* gate);
  // What ExecSync does; unset: exit code 0 and no output.
  using ExecScript =
      std::function<absl::StatusOr<ExecResult>(const ExecRequest&)>;
  void SetExec(ExecScript script);

  std::vector<MonitorLaunch> launches() const;
  std::vector<std::string> discarded() const;  // container ids
  std::vector<std::string> reopened() const;   // bundles
  std::vector<ExecRequest> execs() const;
  // Launched, neither ended nor discarded.
  std::vector<std::string> running() const;
  bool IsWatched(absl::string_view container_id) const;

 private:
  struct Container {
    LaunchedContainer identity;
    bool ended = false;
    absl::StatusOr<ExitRecord> result = absl::UnknownError("still running");
    OnExit on_exit;  // empty when nobody watches
  };
  // Waits at the step's gate, then gives the step's error.
  absl::Status Pass(Step step, absl::Time deadline);
  void Finish(const std::string& container_id,
              const absl::StatusOr<ExitRecord>& result);
  // Calls it without the lock, so that Unwatch() can wait for its end.
  void Tell(const OnExit& on_exit, const std::string& container_id,
            const absl::StatusOr<ExitRecord>& result);

  mutable absl::Mutex mutex_;
  pid_t next_pid_ ABSL_GUARDED_BY(mutex_) = 1 << 24;
  std::map<std::string, Container> containers_ ABSL_GUARDED_BY(mutex_);
  std::map<Step, absl::Status> errors_ ABSL_GUARDED_BY(mutex_);
  std::map<Step, absl::Notification*> gates_ ABSL_GUARDED_BY(mutex_);
  // Callbacks that run now, by container, and on which thread.
  std::multimap<std::string, pid_t, std::less<>> telling_
      ABSL_GUARDED_BY(mutex_);
  ExecScript exec_ ABSL_GUARDED_BY(mutex_);
  std::vector<MonitorLaunch> launches_ ABSL_GUARDED_BY(mutex_);
  std::vector<std::string> discarded_ ABSL_GUARDED_BY(mutex_);
  std::vector<std::string> reopened_ ABSL_GUARDED_BY(mutex_);
  std::vector<ExecRequest> execs_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace quoll::runtime
