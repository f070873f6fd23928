// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"

#include "os/event_loop.h"
#include "os/process.h"
#include "runtime/monitor/exec_session.h"
#include "runtime/monitor/monitors.h"

namespace quoll::runtime {

// Monitors that are quoll-monitor processes. Nothing is kept about a container
// but what Watch() was told: a new object (a restarted daemon) finds everything
// in the bundles. on_exit runs on the event loop's thread and must not block.
//
// A monitor's end is seen by its pidfd, which says the same as a connection
// that breaks, works while the monitor is busy, and costs it nothing. The exit
// record is written before the monitor ends, so that it is there by then.
class ProcessMonitors : public Monitors {
 public:
  struct Options {
    std::string monitor_program;  // absolute path of quoll-monitor
  };

  // `loop` is borrowed and must outlive this.
  ProcessMonitors(Options options, os::EventLoop& loop);
  // Watches end; monitors and containers stay.
  ~ProcessMonitors() override;

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

 private:
  struct Watched;
  struct Child;

  // Steps of Launch().
  absl::StatusOr<os::Pidfd> Spawn(const MonitorLaunch& launch,
                                  os::UniqueFd report);
  absl::StatusOr<LaunchedContainer> AwaitReady(const MonitorLaunch& launch,
                                               const os::Pidfd& monitor,
                                               int report_fd,
                                               absl::Time deadline);
  // Reaps it when it ends.
  void AdoptChild(os::Pidfd monitor);
  void OnChildExit(uint64_t key);

  // The monitor, or later the init, of `watched` has ended.
  void OnWatchedExit(const std::shared_ptr<Watched>& watched);
  // False when the init is gone, too.
  absl::Status WatchProcess(const std::shared_ptr<Watched>& watched,
                            os::Pidfd pidfd);
  void Deliver(const std::shared_ptr<Watched>& watched,
               const absl::StatusOr<ExitRecord>& result);
  void Forget(const std::shared_ptr<Watched>& watched);

  const Options options_;
  os::EventLoop& loop_;
  OciFlavors flavors_;

  absl::Mutex mutex_;
  std::map<std::string, std::shared_ptr<Watched>, std::less<>> watched_
      ABSL_GUARDED_BY(mutex_);
  uint64_t next_child_ ABSL_GUARDED_BY(mutex_) = 1;
  std::map<uint64_t, std::shared_ptr<Child>> children_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace quoll::runtime
