// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"

#include "runtime/monitor/monitors.h"

namespace quoll::runtime {

// Drives one OCI runtime command line (runc, crun) for what the monitor does
// not do. Stateless, thread-safe. Errors carry the runtime's own message.
class OciRuntime {
 public:
  virtual ~OciRuntime() = default;
  virtual const OciProgram& program() const = 0;
  virtual absl::Status Start(const std::string& container_id,
                             absl::Time deadline) = 0;
  // Every process of the container, also with a shared PID namespace. OK when
  // it is not running.
  virtual absl::Status KillAll(const std::string& container_id, int signo,
                               absl::Time deadline) = 0;
  // Removes its state and cgroup; kills first with `force`. OK when gone.
  virtual absl::Status Delete(const std::string& container_id, bool force,
                              absl::Time deadline) = 0;
  // `resources_json` is the OCI "linux.resources" object.
  virtual absl::Status Update(const std::string& container_id,
                              const std::string& resources_json,
                              absl::Time deadline) = 0;
  // First line of --version. Unavailable when the program cannot run.
  virtual absl::StatusOr<std::string> Version(absl::Time deadline) = 0;
};

}  // namespace quoll::runtime
