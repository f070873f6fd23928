// SPDX-License-Identifier: Apache-2.0
#include <functional>

#include "absl/time/clock.h"

#include "os/annotate.h"
#include "os/files.h"
#include "os/log.h"
#include "os/random_id.h"
#include "os/status_macros.h"
#include "runtime/operations.h"
#include "runtime/sandbox_parts.h"

namespace quoll::runtime {
namespace {

constexpr size_t kIdDigits = 64;

// Every name in `directory` that is an id of ours and needed by no record.
// Records are written before directories, so what is made right now is never
// among them.
void ForEachOrphan(
    const std::string& directory,
    const std::function<bool(const std::string& id)>& is_needed,
    const std::function<absl::Status(const std::string& id)>& remove) {
  const auto names = os::ListDirectory(directory);
  if (!names.ok()) {
    if (!absl::IsNotFound(names.status())) {
      spdlog::warn("look for leftovers in {}: {}", directory,
                   names.status().ToString());
    }
    return;
  }
  for (const std::string& name : *names) {
    if (name.size() != kIdDigits || !os::IsHexId(name) || is_needed(name)) {
      continue;
    }
    if (const absl::Status removed = remove(name); removed.ok()) {
      spdlog::info("cleaned up {}/{}, which no record needs", directory, name);
    } else {
      spdlog::warn("{}/{} is needed by no record: {}", directory, name,
                   removed.ToString());
    }
  }
}

absl::Status CheckNoRuntimeState(const Engine& engine, const std::string& id) {
  for (const auto& [name, runtime] : engine.parts.handlers) {
    const std::string state = absl::StrCat(runtime->program().root, "/", id);
    if (os::Exists(state)) {
      return absl::FailedPreconditionError(absl::StrCat(
          "left alone, it may be alive (", state, " exists); remove it with \"",
          runtime->program().program, " --root ", runtime->program().root,
          " delete --force ", id, "\" and restart quolld"));
    }
  }
  return absl::OkStatus();
}

absl::Status RemoveContainerDirs(const Engine& engine, const std::string& id) {
  const Paths& paths = engine.options.paths;
  QUOLL_RETURN_IF_ERROR(CheckNoRuntimeState(engine, id));
  QUOLL_RETURN_IF_ERROR(engine.parts.mounter.Unmount(
      paths.Rootfs(id), /*lazy=*/false, absl::Now() + kMountTimeout));
  return os::FirstError(os::RemoveTree(paths.ContainerState(id)),
                        os::RemoveTree(paths.ContainerRun(id)));
}

}  // namespace

void SweepOrphans(Engine& engine) {
  const Paths& paths = engine.options.paths;
  const auto container_known = [&engine](const std::string& id) {
    return engine.table.Container(id) != nullptr;
  };
  const auto sandbox_known = [&engine](const std::string& id) {
    return engine.table.Sandbox(id) != nullptr;
  };
  const auto remove_container = [&engine](const std::string& id) {
    return RemoveContainerDirs(engine, id);
  };
  ForEachOrphan(paths.ContainersRun(), container_known, remove_container);
  ForEachOrphan(paths.ContainersState(), container_known, remove_container);
  ForEachOrphan(
      paths.SandboxesRun(), sandbox_known, [&](const std::string& id) {
        QUOLL_RETURN_IF_ERROR(engine.parts.mounter.Unmount(
            paths.Shm(id), /*lazy=*/true, absl::Now() + kMountTimeout));
        return os::RemoveTree(paths.SandboxRun(id));
      });
  // Of those that no record knows, and of stopped sandboxes: they had a DEL to
  // wait for when the last daemon ended.
  const auto needs_namespaces = [&engine](const std::string& id) {
    const Table::SandboxPtr sandbox = engine.table.Sandbox(id);
    return sandbox != nullptr && sandbox->phase() != state::v1::SANDBOX_STOPPED;
  };
  ForEachOrphan(
      paths.AllNamespaces(), needs_namespaces,
      [&](const std::string& id) { return UnpinNamespaces(engine, id); });
}

}  // namespace quoll::runtime
