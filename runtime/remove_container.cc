// SPDX-License-Identifier: Apache-2.0
#include <utility>

#include "absl/time/clock.h"

#include "os/annotate.h"
#include "os/files.h"
#include "os/status_macros.h"
#include "runtime/operations.h"
#include "runtime/sandbox_parts.h"

namespace quoll::runtime {
namespace {

absl::Status UnmountRootfs(Engine& engine, const std::string& id) {
  const std::string rootfs = engine.options.paths.Rootfs(id);
  os::Mounter& mounter = engine.parts.mounter;
  if (mounter.Unmount(rootfs, /*lazy=*/false, absl::Now() + kMountTimeout)
          .ok()) {
    return absl::OkStatus();
  }
  // Somebody on the node looks into it. It is out of sight now and gone when
  // they have finished.
  return os::Annotate(
      mounter.Unmount(rootfs, /*lazy=*/true, absl::Now() + kMountTimeout),
      "unmount its root filesystem");
}

absl::Status RemoveFiles(Engine& engine, const std::string& id) {
  const Paths& paths = engine.options.paths;
  // The bundle last: as long as it is there, a lost record can be traced.
  return os::Annotate(os::FirstError(os::RemoveTree(paths.ContainerState(id)),
                                     os::RemoveTree(paths.ContainerRun(id))),
                      "remove its files");
}

absl::Status RemoveLocked(Engine& engine, ContainerRecord record) {
  if (record.phase() != state::v1::CONTAINER_REMOVING) {
    record.set_phase(state::v1::CONTAINER_REMOVING);
    QUOLL_RETURN_IF_ERROR(engine.Save(record));
  }
  QUOLL_RETURN_IF_ERROR(ReleaseContainer(engine, record));
  return engine.Forget(record);
}

}  // namespace

absl::Status ReleaseContainer(Engine& engine, const ContainerRecord& record) {
  const std::string& id = record.id();
  engine.parts.monitors.Unwatch(id);
  QUOLL_ASSIGN_OR_RETURN(OciRuntime* const runtime,
                         engine.Handler(record.runtime_name()));
  // Nothing below may be taken away from under a process that lives.
  QUOLL_RETURN_IF_ERROR(os::Annotate(
      engine.parts.monitors.Discard(
          id, engine.options.paths.ContainerRun(id), runtime->program(),
          absl::Now() + engine.options.runtime_timeout),
      "end its monitor"));
  absl::Status first;
  const auto collect = [&first](const absl::Status& status) {
    first = os::FirstError(std::move(first), status);
  };
  const absl::Status unmounted = UnmountRootfs(engine, id);
  collect(unmounted);
  const auto& extensions = engine.parts.extensions;
  for (auto it = extensions.rbegin(); it != extensions.rend(); ++it) {
    collect(os::Annotate((*it)->Cleanup(id), (*it)->name()));
  }
  if (unmounted.ok()) {
    collect(RemoveFiles(engine, id));
  }
  collect(os::Annotate(engine.parts.cgroups.Remove(
                           record.cgroups_path(), absl::Now() + kCgroupTimeout),
                       "remove its cgroup"));
  return first;
}

absl::Status RemoveContainer(Engine& engine, const std::string& id) {
  const Table::ContainerPtr found = engine.table.Container(id);
  if (found == nullptr || found->phase() == state::v1::CONTAINER_CREATING) {
    return absl::OkStatus();
  }
  // Before the lock is taken: its end is recorded under it.
  if (found->phase() != state::v1::CONTAINER_REMOVING) {
    QUOLL_RETURN_IF_ERROR(
        StopContainerJointly(engine, id, absl::ZeroDuration(), os::Call()));
  }
  QUOLL_ASSIGN_OR_RETURN(const auto lock, engine.LockContainer(id));
  const Table::ContainerPtr record = engine.table.Container(id);
  if (record == nullptr) {
    return absl::OkStatus();
  }
  return os::Annotate(RemoveLocked(engine, *record), Subject(*record));
}

}  // namespace quoll::runtime
