// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <utility>

#include "runtime/monitor/oci_runtime.h"

namespace quoll::runtime {

// An OCI runtime by its command line; tried with runc 1.1 and crun 1.8.
// Failures of the program are FailedPrecondition with its own message.
class CommandOciRuntime : public OciRuntime {
 public:
  explicit CommandOciRuntime(OciProgram program)
      : program_(std::move(program)) {}

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

 private:
  const OciProgram program_;
};

}  // namespace quoll::runtime
