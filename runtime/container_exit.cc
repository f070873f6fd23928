// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"

#include "os/annotate.h"
#include "os/log.h"
#include "os/process.h"
#include "os/utf8.h"
#include "runtime/operations.h"
#include "runtime/sandbox_parts.h"

namespace quoll::runtime {
namespace {

constexpr int kUnknownExitCode = 255;

ContainerRecord WithExit(ContainerRecord record, const ExitRecord& exit) {
  record.set_phase(state::v1::CONTAINER_EXITED);
  record.set_exit_code(exit.exit_code);
  record.set_finished_at_ns(exit.finished_at_ns);
  // A command that ends at once may be gone before its start was written down.
  if (record.started_at_ns() > 0) {
    record.set_started_at_ns(
        std::min(record.started_at_ns(), exit.finished_at_ns));
  }
  if (exit.oom_killed) {
    record.set_reason("OOMKilled");
  } else {
    record.set_reason(exit.exit_code == 0 ? "Completed" : "Error");
  }
  return record;
}

bool InitLives(const ContainerRecord& record) {
  const auto init = os::Pidfd::Open(FromProto(record.init()));
  return init.ok() && !init->HasExited();
}

// The monitor is gone and left nothing. If its container still runs, nobody
// will see it end: that is said, and nothing is killed.
void CommitLost(Engine& engine, const ContainerRecord& record,
                const absl::Status& lost) {
  if (!InitLives(record)) {
    CommitExit(engine,
               WithUnknownEnd(record, absl::StrCat("the monitor was lost: ",
                                                   lost.message())));
    return;
  }
  ContainerRecord unknown = record;
  unknown.set_phase(state::v1::CONTAINER_UNKNOWN);
  unknown.set_reason("Unknown");
  unknown.set_message(
      os::ToUtf8(absl::StrCat("the monitor was lost while the container runs (",
                              lost.message(), "); stop or remove it")));
  spdlog::error("{}: {}", Subject(record), unknown.message());
  if (const absl::Status saved = engine.Save(unknown); !saved.ok()) {
    spdlog::error("{}: {}", Subject(record), saved.ToString());
    engine.table.Put(unknown);
  }
}

// Processes that outlive the init: those of a shared PID namespace.
void KillRest(Engine& engine, const ContainerRecord& record) {
  if (!SharesPidNamespace(record)) {
    return;
  }
  const absl::Status killed = engine.parts.cgroups.Kill(
      record.cgroups_path(), absl::Now() + kCgroupTimeout);
  if (!killed.ok()) {
    spdlog::warn("{}: kill what is left of it: {}", Subject(record),
                 killed.ToString());
  }
}

// Nothing waits for these; what fails is done again by Remove.
void TidyUp(Engine& engine, const ContainerRecord& record) {
  absl::Status deleted;
  if (const auto runtime = engine.Handler(record.runtime_name());
      runtime.ok()) {
    deleted = (*runtime)->Delete(record.id(), /*force=*/true,
                                 absl::Now() + engine.options.runtime_timeout);
  } else {
    deleted = runtime.status();
  }
  if (!deleted.ok()) {
    spdlog::warn("{}: delete its runtime state: {}", Subject(record),
                 deleted.ToString());
  }
  for (ContainerExtension* extension : engine.parts.extensions) {
    if (const absl::Status status = extension->OnStopped(record);
        !status.ok()) {
      spdlog::warn("{}: {}: {}", Subject(record),
                   std::string(extension->name()), status.ToString());
    }
  }
}

}  // namespace

ContainerRecord WithUnknownEnd(ContainerRecord record,
                               absl::string_view message) {
  record.set_phase(state::v1::CONTAINER_EXITED);
  record.set_exit_code(kUnknownExitCode);
  record.set_reason("Unknown");
  record.set_message(os::ToUtf8(message));
  record.set_finished_at_ns(std::max(NowNs(), record.started_at_ns()));
  return record;
}

void CommitExit(Engine& engine, const ContainerRecord& record) {
  if (const absl::Status saved = engine.Save(record); !saved.ok()) {
    // It has ended, whatever the disk says. The exit record of the monitor is
    // still there, so the next start of the daemon writes it down.
    spdlog::error("{}: its exit could not be written down: {}", Subject(record),
                  saved.ToString());
    engine.table.Put(record);
  }
  if (const auto ending = engine.table.EndingOf(record.id())) {
    ending->MarkEnded();
  }
}

void ContainerEnded(Engine& engine, const std::string& id,
                    const absl::StatusOr<ExitRecord>& exit) {
  const auto lock = engine.LockContainer(id);
  if (!lock.ok()) {
    spdlog::error("container {}: its end could not be noted: {}", id,
                  lock.status().ToString());
    return;
  }
  const Table::ContainerPtr record = engine.table.Container(id);
  if (record == nullptr || (record->phase() != state::v1::CONTAINER_CREATED &&
                            record->phase() != state::v1::CONTAINER_RUNNING)) {
    return;  // ended by another way, or being removed
  }
  if (!exit.ok()) {
    CommitLost(engine, *record, exit.status());
  } else {
    KillRest(engine, *record);
    CommitExit(engine, WithExit(*record, *exit));
  }
  const Table::ContainerPtr ended = engine.table.Container(id);
  if (ended->phase() == state::v1::CONTAINER_EXITED) {
    TidyUp(engine, *ended);
  }
}

absl::Status WatchContainer(Engine& engine, const ContainerRecord& record) {
  LaunchedContainer launched;
  launched.monitor = FromProto(record.monitor());
  launched.init = FromProto(record.init());
  return engine.parts.monitors.Watch(
      record.id(), engine.options.paths.ContainerRun(record.id()), launched,
      [&engine, id = record.id()](const absl::StatusOr<ExitRecord>& exit) {
        // Not here: this may be the event thread, and it may be us who calls
        // Watch with the container's lock held.
        engine.events.Run(
            [&engine, id, exit] { ContainerEnded(engine, id, exit); });
      });
}

}  // namespace quoll::runtime
