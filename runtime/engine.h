// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"

#include "os/keyed_mutex.h"
#include "os/process.h"
#include "runtime/runtime.h"
#include "runtime/single_flight.h"
#include "runtime/table.h"
#include "runtime/types.h"
#include "runtime/workers.h"

namespace quoll::runtime {

// What every use case works with (runtime/operations.h). Owned by Runtime, seen
// by nothing outside this folder.
//
// Two kinds of locks. Operation locks: LockSandbox, LockContainer, held over a
// whole operation with its I/O, in this order. Who waits for a container's end
// must not hold its lock: the end is recorded under it. Data locks: inside
// Table and Ending, never held over I/O.
struct Engine {
  Engine(RuntimeOptions runtime_options, RuntimeParts runtime_parts)
      : options(std::move(runtime_options)), parts(std::move(runtime_parts)) {}

  // Durable first, visible then. The caller holds the operation lock.
  absl::Status Save(const SandboxRecord& record);
  absl::Status Save(const ContainerRecord& record);
  absl::Status Forget(const SandboxRecord& record);
  absl::Status Forget(const ContainerRecord& record);

  absl::StatusOr<os::KeyedMutex::Lock> LockSandbox(const std::string& id);
  absl::StatusOr<os::KeyedMutex::Lock> LockContainer(const std::string& id);

  // The OCI runtime of a handler; "" is the default one. NotFound names those
  // there are.
  absl::StatusOr<OciRuntime*> Handler(const std::string& name) const;
  std::string HandlerName(const std::string& name) const {
    return name.empty() ? options.default_handler : name;
  }

  // Runs `step` in the background until it is OK, with growing pauses; each
  // failure is logged as "`what`: ...". For work that is owed.
  void Finish(std::string what, std::function<absl::Status()> step,
              absl::Duration pause = absl::Seconds(1));

  // Ends all waiting, then waits for every operation that runs.
  void Shutdown();

  const RuntimeOptions options;
  const RuntimeParts parts;
  Table table;
  // Of records that cannot be read; written by recovery only, before others
  // look.
  std::vector<std::string> unreadable;
  os::KeyedMutex locks;

  // Exits of containers; they wait for operation locks, and no operation that
  // holds one waits for them, so a bound is safe.
  Workers events{16};
  // One thread per operation: operations wait for each other (a sandbox for its
  // containers), so a bound could wedge them. gRPC's callers are the bound.
  Workers operations{100'000};
  SingleFlight<absl::StatusOr<SandboxRecord>> sandbox_flights{operations};
  SingleFlight<absl::StatusOr<ContainerRecord>> container_flights{operations};
  SingleFlight<absl::Status> flights{operations};
};

// Nanoseconds since 1970.
int64_t NowNs();

// "sandbox 3f2a91..." as errors and logs begin.
std::string Subject(const SandboxRecord& record);
std::string Subject(const ContainerRecord& record);

os::ProcessIdentity FromProto(const state::v1::ProcessIdentity& identity);
state::v1::ProcessIdentity ToProto(const os::ProcessIdentity& identity);

// Two specs are the same when these are.
std::string Fingerprint(const google::protobuf::MessageLite& message);

// True when the container's processes live in a PID namespace that does not end
// with its init.
bool SharesPidNamespace(const ContainerRecord& record);

}  // namespace quoll::runtime
