// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"

#include "os/call.h"
#include "runtime/types.h"

namespace quoll::runtime {

// The sandbox use cases, free of gRPC types. Thread-safe; all calls may block.
// Ids may be given by any unique prefix: NotFound when there is none,
// InvalidArgument when it is not unique.
class SandboxService {
 public:
  virtual ~SandboxService() = default;

  // A sandbox with the same name, namespace, uid and attempt that is being made
  // is joined, one that is READY is returned, when the spec is equal too; else
  // AlreadyExists (different spec) or FailedPrecondition (it has stopped). The
  // work goes on when the caller leaves, and its result waits for the next
  // call. On error nothing is left.
  virtual absl::StatusOr<SandboxRecord> Run(const SandboxSpec& spec,
                                            const os::Call& call) = 0;
  // Kills all containers at once, detaches the network, unpins the namespaces.
  // OK when unknown or stopped. A stop that has begun is finished even when the
  // caller leaves.
  virtual absl::Status Stop(const std::string& id, const os::Call& call) = 0;
  // Stops first when needed, removes its containers. OK when unknown.
  virtual absl::Status Remove(const std::string& id, const os::Call& call) = 0;

  virtual absl::StatusOr<SandboxRecord> Get(const std::string& id) const = 0;
  // Oldest first; what is still being made is not in it.
  virtual std::vector<SandboxRecord> List() const = 0;
};

// The container use cases; as above.
class ContainerService {
 public:
  virtual ~ContainerService() = default;

  // Joins and hands over like SandboxService::Run, keyed by sandbox, name and
  // attempt. NotFound without the sandbox, FailedPrecondition when it is not
  // ready. `on_recorded` is called once the intent is durable: the image's
  // layers are then owned by the record. On any thread, also after the caller
  // has left; so it owns what keeps the layers alive until then.
  virtual absl::StatusOr<ContainerRecord> Create(
      const ContainerSpec& spec, const os::Call& call,
      std::function<void()> on_recorded) = 0;
  // OK when it runs already; FailedPrecondition when it has ended. A command
  // that cannot be started leaves it EXITED with reason StartError, code 128.
  virtual absl::Status Start(const std::string& id, const os::Call& call) = 0;
  // Stop signal, then KILL of every process after `grace` (0: at once). A later
  // call with a shorter grace shortens the wait of an earlier one. OK when
  // unknown or ended.
  virtual absl::Status Stop(const std::string& id, absl::Duration grace,
                            const os::Call& call) = 0;
  // Kills first when it runs. OK when unknown.
  virtual absl::Status Remove(const std::string& id, const os::Call& call) = 0;

  virtual absl::StatusOr<ContainerRecord> Get(const std::string& id) const = 0;
  // Oldest first; what is still being made is not in it.
  virtual std::vector<ContainerRecord> List() const = 0;

  struct ExecOutput {
    int exit_code = 0;
    std::string out;
    std::string err;
  };
  // `timeout` infinite: none. FailedPrecondition when it does not run.
  virtual absl::StatusOr<ExecOutput> ExecSync(
      const std::string& id, const std::vector<std::string>& argv,
      absl::Duration timeout, const os::Call& call) = 0;
  virtual absl::Status ReopenLog(const std::string& id,
                                 const os::Call& call) = 0;
  // The OCI spec (config.json) of a container, for people.
  virtual absl::StatusOr<std::string> OciSpec(const std::string& id) const = 0;

  struct FsUsage {
    std::string mountpoint;
    uint64_t bytes = 0;
    uint64_t inodes = 0;
  };
  // Disk use of all writable layers; walks them.
  virtual FsUsage WritableUsage() const = 0;
};

}  // namespace quoll::runtime
