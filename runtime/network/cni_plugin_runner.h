// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"

#include "os/unique_fd.h"

namespace quoll::runtime {

// Runs CNI plugins (CNI spec, section 2): finds the program, hands it its
// parameters, bounds its time and its output. Thread-safe; blocks.
class CniPluginRunner {
 public:
  struct Options {
    std::vector<std::string> bin_dirs;  // searched in order
    // Plugins that run at once. They mostly wait for each other (host-local
    // locks a file, portmap waits for the lock of iptables), so more of them
    // only means more processes, not more pods per second.
    int max_running = 16;
  };

  struct Invocation {
    std::string command;  // ADD, DEL, CHECK
    std::string container_id;
    std::string netns;  // "" when it is gone
    std::string ifname;
    std::string args;    // CNI_ARGS
    std::string config;  // JSON for stdin
  };

  explicit CniPluginRunner(Options options);

  // From here on Run() answers Cancelled, and plugins that run are killed: what
  // they did is in the journal and is undone after the next start. Without an
  // eventfd (no descriptors left) the running ones go on to their deadline.
  void Stop();

  // OK when there is a program for this type; else what Run() would say.
  absl::Status CheckInstalled(absl::string_view type,
                              absl::string_view command) const;

  // What the plugin printed, which nobody has looked at yet. FailedPrecondition
  // when the plugin is not installed or failed, Unavailable when it says that a
  // retry may help, DeadlineExceeded when it was killed or found no free slot,
  // Cancelled after Stop().
  // Every message begins with the command and the plugin.
  absl::StatusOr<std::string> Run(absl::string_view type,
                                  const Invocation& invocation,
                                  absl::Time deadline);

 private:
  absl::StatusOr<std::string> Find(absl::string_view type) const;
  absl::StatusOr<std::string> Execute(const std::string& program,
                                      const Invocation& invocation,
                                      absl::Time deadline) const;

  const Options options_;
  const os::UniqueFd stop_;  // an eventfd; readable once stopped
  absl::Mutex mu_;
  int running_ ABSL_GUARDED_BY(mu_) = 0;
  bool stopped_ ABSL_GUARDED_BY(mu_) = false;
};

}  // namespace quoll::runtime
