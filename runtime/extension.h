// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"

#include "runtime/types.h"

namespace quoll::runtime {

// A mount as the OCI runtime spec has it (config.md, "mounts").
struct OciMount {
  std::string destination;
  std::string type;  // "bind", "tmpfs", "proc", ...
  std::string source;
  std::vector<std::string> options;
};

// What one extension wants added to a launch. Data only; the spec builder
// applies all patches in registration order and rejects conflicting ones.
struct LaunchPatch {
  std::vector<OciMount> mounts;  // after the container's own ones
  std::vector<std::pair<std::string, std::string>> env;
  std::map<std::string, std::string> annotations;  // of the OCI spec
  // Replaces the command as PID 1; at most one patch may set it.
  std::optional<std::vector<std::string>> init_argv;
};

// What an extension may look at while it prepares.
struct LaunchContext {
  const SandboxRecord& sandbox;
  const ContainerRecord& container;
  std::string rootfs;  // mounted and writable
  std::string upper;   // the writable layer on the host
  std::string work;
};

// One optional aspect of a container's life: quota, lxcfs view, rich mode...
// Calls for one container are serialised; different containers may run
// concurrently. Blocking is allowed, within bounds.
class ContainerExtension {
 public:
  virtual ~ContainerExtension() = default;

  virtual absl::string_view name() const = 0;

  // Runs once, before any other call. `known` is what the store holds; what
  // belongs to nobody in it must be released here.
  virtual absl::Status Recover(absl::Span<const ContainerRecord> known) = 0;

  // Before the OCI runtime's create. Must be undone by Cleanup().
  virtual absl::StatusOr<LaunchPatch> Prepare(const LaunchContext& context) = 0;

  // The init process exists but has not executed user code yet.
  virtual absl::Status OnInitCreated(const ContainerRecord& container) = 0;

  virtual absl::Status OnResourcesUpdated(const ContainerRecord& container) = 0;

  // The container has ended. Errors are logged; nothing waits for them.
  virtual absl::Status OnStopped(const ContainerRecord& container) = 0;

  // Idempotent; an unknown id is OK. Always called, even if Prepare failed.
  virtual absl::Status Cleanup(absl::string_view container_id) = 0;
};

}  // namespace quoll::runtime
