// SPDX-License-Identifier: Apache-2.0
#include <signal.h>

#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/clock.h"

#include "os/annotate.h"
#include "os/log.h"
#include "os/process.h"
#include "os/status_macros.h"
#include "runtime/operations.h"
#include "runtime/sandbox_parts.h"

namespace quoll::runtime {
namespace {

// A pod has few containers; this many are killed at the same time.
constexpr size_t kParallelStops = 32;

// Also those that are being made: their intent was recorded before STOPPING
// was, so they are in the table, and StopContainer waits for their lock.
absl::Status StopContainers(Engine& engine, const SandboxRecord& sandbox) {
  const auto containers = engine.table.ContainersOf(sandbox.id());
  absl::Mutex mutex;
  absl::Status first;
  ForEachParallel(
      engine.operations, containers.size(), kParallelStops, [&](size_t i) {
        const absl::Status status =
            os::Annotate(StopContainerJointly(engine, containers[i]->id(),
                                              absl::ZeroDuration(), os::Call()),
                         "stop its container");
        absl::MutexLock lock(&mutex);
        first = os::FirstError(std::move(first), status);
      });
  return first;
}

absl::Status DetachNetwork(Engine& engine, const SandboxRecord& record) {
  const absl::Status detached = engine.parts.network.Detach(
      record.id(), absl::Now() + engine.options.network_timeout);
  if (detached.ok()) {
    return absl::OkStatus();
  }
  if (!engine.parts.network.OwesDetach(record.id())) {
    // Not even written down: this stop has to be repeated.
    return os::Annotate(detached, "detach its network");
  }
  spdlog::warn("{}: network not detached yet, goes on in the background: {}",
               Subject(record), detached.ToString());
  return absl::OkStatus();
}

absl::Status KillPause(Engine& engine, const SandboxRecord& record) {
  absl::Status first;
  if (record.pause().pid() > 0) {
    const auto pause = os::Pidfd::Open(FromProto(record.pause()));
    if (pause.ok()) {
      first = pause->Signal(SIGKILL);
    } else if (!absl::IsNotFound(pause.status())) {
      first = pause.status();
    }
  }
  // The cgroup knows a pause process that was started by a daemon which died
  // before it could write its pid down.
  const std::string cgroup = PauseCgroup(record);
  const CgroupTree& cgroups = engine.parts.cgroups;
  first = os::FirstError(std::move(first),
                         cgroups.Kill(cgroup, absl::Now() + kCgroupTimeout));
  first = os::FirstError(std::move(first),
                         cgroups.Remove(cgroup, absl::Now() + kCgroupTimeout));
  return os::Annotate(first, "end its pause process");
}

bool IsSharedCgroupParent(const Engine& engine, const SandboxRecord& record) {
  for (const Table::SandboxPtr& other : engine.table.Sandboxes()) {
    const bool lives = other->phase() == state::v1::SANDBOX_CREATING ||
                       other->phase() == state::v1::SANDBOX_READY;
    if (lives && other->id() != record.id() &&
        other->cgroup_parent() == record.cgroup_parent()) {
      return true;
    }
  }
  return false;
}

absl::Status RemoveCgroupParent(Engine& engine, const SandboxRecord& record) {
  if (!record.owns_cgroup_parent() || IsSharedCgroupParent(engine, record)) {
    return absl::OkStatus();
  }
  const absl::Status removed = engine.parts.cgroups.Remove(
      record.cgroup_parent(), absl::Now() + kCgroupTimeout);
  if (removed.ok() || record.spec().cgroup_parent().empty()) {
    return os::Annotate(removed, "remove its cgroup");
  }
  // We made it, but at a place that others may use too: what they keep there
  // must not keep the pod from ending.
  spdlog::warn("{}: its cgroup stays: {}", Subject(record), removed.ToString());
  return absl::OkStatus();
}

}  // namespace

absl::Status UnpinNamespaces(Engine& engine, const std::string& id) {
  const auto unpin = [&engine, id] {
    return engine.parts.network.OwesDetach(id)
               ? absl::UnavailableError("its network is not detached yet")
               : engine.parts.host.Unpin(engine.options.paths.Namespaces(id),
                                         absl::Now() + kNamespaceTimeout);
  };
  if (!engine.parts.network.OwesDetach(id)) {
    return unpin();
  }
  engine.Finish(absl::StrCat("sandbox ", id, ": unpin its namespaces"), unpin);
  return absl::OkStatus();
}

absl::Status ReleaseSandbox(Engine& engine, const SandboxRecord& record) {
  const SandboxSpec& spec = record.spec();
  const Paths& paths = engine.options.paths;
  absl::Status first;
  const auto collect = [&first](const absl::Status& status) {
    first = os::FirstError(std::move(first), status);
  };
  if (record.network_attached()) {
    collect(DetachNetwork(engine, record));
  }
  if (HasSharedPid(spec)) {
    collect(KillPause(engine, record));
  }
  if (HasOwnIpc(spec)) {
    // Lazily: a process of the node that looks into it must not keep it.
    collect(os::Annotate(
        engine.parts.mounter.Unmount(paths.Shm(record.id()), /*lazy=*/true,
                                     absl::Now() + kMountTimeout),
        "unmount /dev/shm"));
  }
  collect(os::Annotate(UnpinNamespaces(engine, record.id()),
                       "unpin its namespaces"));
  collect(RemoveCgroupParent(engine, record));
  return first;
}

absl::Status StopSandboxLocked(Engine& engine, SandboxRecord record) {
  if (record.phase() == state::v1::SANDBOX_STOPPED) {
    return absl::OkStatus();
  }
  if (record.phase() != state::v1::SANDBOX_STOPPING) {
    record.set_phase(state::v1::SANDBOX_STOPPING);
    QUOLL_RETURN_IF_ERROR(engine.Save(record));
  }
  // An address is not given back while somebody may still use it, so a
  // container that does not end keeps the rest from happening.
  QUOLL_RETURN_IF_ERROR(StopContainers(engine, record));
  QUOLL_RETURN_IF_ERROR(ReleaseSandbox(engine, record));
  record.set_phase(state::v1::SANDBOX_STOPPED);
  record.clear_pause();
  return engine.Save(record);
}

absl::Status StopSandbox(Engine& engine, const std::string& id) {
  QUOLL_ASSIGN_OR_RETURN(const auto lock, engine.LockSandbox(id));
  const Table::SandboxPtr record = engine.table.Sandbox(id);
  if (record == nullptr || record->phase() == state::v1::SANDBOX_CREATING ||
      record->phase() == state::v1::SANDBOX_REMOVING) {
    // What is being made is nobody's yet; a removal has stopped it already.
    return absl::OkStatus();
  }
  return os::Annotate(StopSandboxLocked(engine, *record), Subject(*record));
}

}  // namespace quoll::runtime
