// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <set>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/time/clock.h"

#include "os/annotate.h"
#include "os/files.h"
#include "os/log.h"
#include "os/process.h"
#include "os/status_macros.h"
#include "runtime/operations.h"
#include "runtime/sandbox_parts.h"

namespace quoll::runtime {
namespace {

// Watching is a few system calls per container; more threads than this only
// wait for each other.
constexpr size_t kParallelAdoptions = 16;
// A start that was interrupted is normally settled within milliseconds. What
// takes longer is finished behind the open socket.
constexpr absl::Duration kSettleTime = absl::Seconds(2);
constexpr char kNodeRestarted[] = "the node was restarted while it ran";

// True when RUN was written in another boot: then no identity in the records
// means anything, even if a process happens to match it. False when RUN says
// nothing; each record is then judged by what can be found of it.
bool WasRebooted(const Paths& paths) {
  const auto now = os::ReadFile("/proc/sys/kernel/random/boot_id");
  if (!now.ok()) {
    spdlog::warn("cannot tell this boot from others: {}",
                 now.status().ToString());
    return false;
  }
  const auto then = os::ReadFile(paths.BootId());
  if (then.ok() && *then == *now) {
    return false;
  }
  if (const absl::Status written = os::ReplaceFile(paths.BootId(), *now, 0644);
      !written.ok()) {
    spdlog::warn("cannot note this boot: {}", written.ToString());
  }
  return then.ok();
}

// The tree of runtime/paths.h, once: a daemon that cannot make it says so at
// its start and not in the first pod, and usage can be measured from then on.
absl::Status MakeTree(const Engine& engine) {
  const Paths& paths = engine.options.paths;
  // Containers with a user namespace pass through RUN as somebody else.
  for (const std::string& dir :
       {paths.ContainersRun(), paths.SandboxesRun(), paths.AllNamespaces()}) {
    QUOLL_RETURN_IF_ERROR(os::MakeDirectories(dir, 0711));
  }
  for (const std::string& dir : {paths.ContainersState(), paths.AllVolumes()}) {
    QUOLL_RETURN_IF_ERROR(os::MakeDirectories(dir, 0700));
  }
  for (const auto& [name, runtime] : engine.parts.handlers) {
    QUOLL_RETURN_IF_ERROR(os::MakeDirectories(paths.OciRoot(name), 0700));
  }
  return absl::OkStatus();
}

class Recovery {
 public:
  explicit Recovery(Engine& engine)
      : engine_(engine), rebooted_(WasRebooted(engine.options.paths)) {}

  absl::Status Run() {
    QUOLL_RETURN_IF_ERROR(MakeTree(engine_));
    QUOLL_ASSIGN_OR_RETURN(const RecordStore::Loaded loaded,
                           engine_.parts.records.LoadAll());
    for (const std::string& id : loaded.unreadable) {
      spdlog::error(
          "the record of {} cannot be read; it was set aside, and nothing of "
          "it is touched",
          id);
    }
    engine_.unreadable = loaded.unreadable;
    RecoverExtensions(loaded);
    QUOLL_RETURN_IF_ERROR(LoadSandboxes(loaded));
    for (const ContainerRecord& record : loaded.containers) {
      engine_.table.Put(record);
    }
    RecoverNetwork(loaded);
    ForEachParallel(engine_.operations, loaded.containers.size(),
                    kParallelAdoptions,
                    [&](size_t i) { Adopt(loaded.containers[i]); });
    for (const SandboxRecord& record : loaded.sandboxes) {
      FinishSandbox(record.id());
    }
    SweepWhenSure(loaded);
    spdlog::info("recovered {} sandboxes and {} containers",
                 loaded.sandboxes.size(), loaded.containers.size());
    return absl::OkStatus();
  }

 private:
  // What an unreadable record owns must not look like nobody's.
  void RecoverExtensions(const RecordStore::Loaded& loaded) {
    std::vector<ContainerRecord> known = loaded.containers;
    for (const std::string& id : loaded.unreadable) {
      known.emplace_back().set_id(id);
    }
    for (ContainerExtension* extension : engine_.parts.extensions) {
      if (const absl::Status status = extension->Recover(known); !status.ok()) {
        spdlog::error("recover {}: {}", std::string(extension->name()),
                      status.ToString());
      }
    }
  }

  absl::Status LoadSandboxes(const RecordStore::Loaded& loaded) {
    QUOLL_ASSIGN_OR_RETURN(
        const std::vector<std::string> mounted,
        engine_.parts.mounter.ListUnder(engine_.options.paths.AllNamespaces()));
    const std::set<std::string> pins(mounted.begin(), mounted.end());
    for (SandboxRecord record : loaded.sandboxes) {
      if (record.phase() == state::v1::SANDBOX_READY &&
          !IsWhole(record, pins)) {
        spdlog::warn("{}: it did not survive; it will be stopped",
                     Subject(record));
        // Seen as not ready from the first call on; made durable by the stop
        // that follows, which begins by finding it in this phase.
        record.set_phase(state::v1::SANDBOX_STOPPING);
      }
      engine_.table.Put(record);
    }
    return absl::OkStatus();
  }

  // What makes a sandbox ready is still there.
  bool IsWhole(const SandboxRecord& record,
               const std::set<std::string>& pins) const {
    const SandboxSpec& spec = record.spec();
    const Paths& paths = engine_.options.paths;
    const auto pinned = [&](absl::string_view name) {
      return pins.contains(
          absl::StrCat(paths.Namespaces(record.id()), "/", name));
    };
    if (rebooted_ || !os::Exists(paths.ResolvConf(record.id()))) {
      return false;
    }
    if (HasOwnNetwork(spec) && (!pinned("net") || !pinned("uts"))) {
      return false;
    }
    if (HasOwnIpc(spec) && !pinned("ipc")) {
      return false;
    }
    // A PID namespace whose init has ended accepts no process any more
    // (pid_namespaces(7)), pinned or not.
    return !HasSharedPid(spec) ||
           (pinned("pid") && os::Pidfd::Open(FromProto(record.pause())).ok());
  }

  void RecoverNetwork(const RecordStore::Loaded& loaded) {
    // Also those that will be stopped: their addresses are given back by that
    // stop, after their containers.
    std::vector<std::string> live = loaded.unreadable;
    for (const SandboxRecord& record : loaded.sandboxes) {
      if (record.phase() != state::v1::SANDBOX_STOPPED &&
          record.phase() != state::v1::SANDBOX_REMOVING) {
        live.push_back(record.id());
      }
    }
    if (const absl::Status status = engine_.parts.network.Recover(live);
        !status.ok()) {
      spdlog::error("recover the pod network: {}", status.ToString());
    }
  }

  void Adopt(const ContainerRecord& record) {
    const std::string& id = record.id();
    switch (record.phase()) {
      case state::v1::CONTAINER_CREATED:
      case state::v1::CONTAINER_RUNNING:
        AdoptLive(record);
        return;
      case state::v1::CONTAINER_UNKNOWN: {
        const auto init = os::Pidfd::Open(FromProto(record.init()));
        if (rebooted_ || !init.ok() || init->HasExited()) {
          CommitExit(engine_, WithUnknownEnd(record, record.message()));
        }
        return;
      }
      case state::v1::CONTAINER_EXITED:
        if (const auto ending = engine_.table.EndingOf(id)) {
          ending->MarkEnded();
        }
        return;
      case state::v1::CONTAINER_CREATING:
        engine_.Finish(
            absl::StrCat(Subject(record), ": take back an unfinished create"),
            [&engine = engine_, id] { return AbandonContainer(engine, id); });
        return;
      case state::v1::CONTAINER_REMOVING:
        engine_.Finish(
            absl::StrCat(Subject(record), ": finish its removal"),
            [&engine = engine_, id] { return RemoveContainer(engine, id); });
        return;
      default:
        spdlog::error("{}: its phase {} is not known to this version",
                      Subject(record), static_cast<int>(record.phase()));
    }
  }

  void AdoptLive(const ContainerRecord& record) {
    const absl::Status watched =
        rebooted_ ? absl::NotFoundError("") : WatchContainer(engine_, record);
    if (absl::IsNotFound(watched)) {
      CommitExit(engine_, WithUnknownEnd(record, kNodeRestarted));
      return;
    }
    if (!watched.ok()) {
      engine_.Finish(absl::StrCat(Subject(record), ": watch its monitor"),
                     [&engine = engine_, record] {
                       return WatchContainer(engine, record);
                     });
      return;
    }
    if (record.phase() != state::v1::CONTAINER_CREATED ||
        !record.start_requested()) {
      return;
    }
    const absl::Status settled =
        FinishStart(engine_, record.id(), absl::Now() + kSettleTime);
    if (!settled.ok()) {
      engine_.Finish(absl::StrCat(Subject(record), ": finish its start"),
                     [&engine = engine_, id = record.id()] {
                       return FinishStart(
                           engine, id,
                           absl::Now() + engine.options.runtime_timeout);
                     });
    }
  }

  void FinishSandbox(const std::string& id) {
    const Table::SandboxPtr record = engine_.table.Sandbox(id);
    const std::string subject = Subject(*record);
    Engine& engine = engine_;
    switch (record->phase()) {
      case state::v1::SANDBOX_CREATING:
        engine.Finish(absl::StrCat(subject, ": take back an unfinished start"),
                      [&engine, id] { return AbandonSandbox(engine, id); });
        return;
      case state::v1::SANDBOX_STOPPING:
        engine.Finish(absl::StrCat(subject, ": finish its stop"),
                      [&engine, id] { return StopSandbox(engine, id); });
        return;
      case state::v1::SANDBOX_REMOVING:
        engine.Finish(absl::StrCat(subject, ": finish its removal"),
                      [&engine, id] { return RemoveSandbox(engine, id); });
        return;
      default:
        return;
    }
  }

  // Never on doubt: an unreadable record may own anything, and a store without
  // any record beside a node full of containers is a lost one.
  void SweepWhenSure(const RecordStore::Loaded& loaded) {
    if (!loaded.unreadable.empty() ||
        (loaded.sandboxes.empty() && loaded.containers.empty())) {
      return;
    }
    engine_.operations.Run([&engine = engine_] { SweepOrphans(engine); });
  }

  Engine& engine_;
  const bool rebooted_;
};

}  // namespace

absl::Status RecoverAll(Engine& engine) {
  return os::Annotate(Recovery(engine).Run(), "recover the runtime");
}

}  // namespace quoll::runtime
