// SPDX-License-Identifier: Apache-2.0
#include <utility>

#include "absl/synchronization/mutex.h"

#include "os/annotate.h"
#include "os/files.h"
#include "os/status_macros.h"
#include "runtime/operations.h"

namespace quoll::runtime {
namespace {

constexpr size_t kParallelRemovals = 32;

absl::Status RemoveContainers(Engine& engine, const SandboxRecord& sandbox) {
  const auto containers = engine.table.ContainersOf(sandbox.id());
  absl::Mutex mutex;
  absl::Status first;
  ForEachParallel(engine.operations, containers.size(), kParallelRemovals,
                  [&](size_t i) {
                    const std::string& id = containers[i]->id();
                    absl::Status status = AbandonContainer(engine, id);
                    if (status.ok()) {
                      status = RemoveContainer(engine, id);
                    }
                    absl::MutexLock lock(&mutex);
                    first = os::FirstError(std::move(first), status);
                  });
  return first;
}

absl::Status RemoveLocked(Engine& engine, const SandboxRecord& found) {
  if (found.phase() != state::v1::SANDBOX_REMOVING) {
    QUOLL_RETURN_IF_ERROR(StopSandboxLocked(engine, found));
  }
  // As it stands after the stop.
  SandboxRecord record = *engine.table.Sandbox(found.id());
  if (record.phase() != state::v1::SANDBOX_REMOVING) {
    record.set_phase(state::v1::SANDBOX_REMOVING);
    QUOLL_RETURN_IF_ERROR(engine.Save(record));
  }
  QUOLL_RETURN_IF_ERROR(RemoveContainers(engine, record));
  QUOLL_RETURN_IF_ERROR(
      os::Annotate(os::RemoveTree(engine.options.paths.SandboxRun(record.id())),
                   "remove its files"));
  return engine.Forget(record);
}

}  // namespace

absl::Status RemoveSandbox(Engine& engine, const std::string& id) {
  QUOLL_ASSIGN_OR_RETURN(const auto lock, engine.LockSandbox(id));
  const Table::SandboxPtr record = engine.table.Sandbox(id);
  if (record == nullptr || record->phase() == state::v1::SANDBOX_CREATING) {
    return absl::OkStatus();
  }
  return os::Annotate(RemoveLocked(engine, *record), Subject(*record));
}

}  // namespace quoll::runtime
