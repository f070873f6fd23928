// SPDX-License-Identifier: Apache-2.0
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"

#include "os/annotate.h"
#include "os/log.h"
#include "os/process.h"
#include "os/status_macros.h"
#include "os/utf8.h"
#include "runtime/operations.h"

namespace quoll::runtime {
namespace {

constexpr int kStartErrorCode = 128;

absl::Status CheckMayStart(const Engine& engine,
                           const ContainerRecord& record) {
  if (record.phase() != state::v1::CONTAINER_CREATED) {
    return absl::FailedPreconditionError(
        "has been started before; a container is started once");
  }
  const Table::SandboxPtr sandbox =
      engine.table.Sandbox(record.spec().sandbox_id());
  if (sandbox == nullptr || sandbox->phase() != state::v1::SANDBOX_READY) {
    return absl::FailedPreconditionError(
        "its sandbox has stopped or is being stopped");
  }
  return absl::OkStatus();
}

// It runs: that is the truth, even when it cannot be written down now. The
// durable start_requested lets a later daemon find out again.
void CommitRunning(Engine& engine, ContainerRecord record) {
  record.set_phase(state::v1::CONTAINER_RUNNING);
  record.set_started_at_ns(NowNs());
  if (const absl::Status saved = engine.Save(record); !saved.ok()) {
    spdlog::error("{}: its start could not be written down: {}",
                  Subject(record), saved.ToString());
    engine.table.Put(record);
  }
}

// Whatever the failed start has left is ended, so that EXITED is true.
void CommitStartError(Engine& engine, ContainerRecord record,
                      const OciRuntime& runtime, const absl::Status& error) {
  engine.parts.monitors.Unwatch(record.id());
  const absl::Status discarded = engine.parts.monitors.Discard(
      record.id(), engine.options.paths.ContainerRun(record.id()),
      runtime.program(), absl::Now() + engine.options.runtime_timeout);
  if (!discarded.ok()) {
    spdlog::error("{}: end what a failed start left: {}", Subject(record),
                  discarded.ToString());
  }
  record.set_phase(state::v1::CONTAINER_EXITED);
  record.set_exit_code(kStartErrorCode);
  record.set_reason("StartError");
  record.set_message(os::ToUtf8(error.message()));
  record.set_finished_at_ns(NowNs());
  CommitExit(engine, record);
}

absl::Status StartLocked(Engine& engine, ContainerRecord record) {
  QUOLL_RETURN_IF_ERROR(CheckMayStart(engine, record));
  QUOLL_ASSIGN_OR_RETURN(OciRuntime* const runtime,
                         engine.Handler(record.runtime_name()));
  record.set_start_requested(true);
  QUOLL_RETURN_IF_ERROR(engine.Save(record));
  const absl::Status started =
      runtime->Start(record.id(), absl::Now() + engine.options.runtime_timeout);
  if (!started.ok()) {
    CommitStartError(engine, std::move(record), *runtime, started);
    return os::Annotate(started, "start");
  }
  CommitRunning(engine, std::move(record));
  return absl::OkStatus();
}

}  // namespace

absl::Status StartContainer(Engine& engine, const std::string& id) {
  QUOLL_ASSIGN_OR_RETURN(const auto lock, engine.LockContainer(id));
  const Table::ContainerPtr record = engine.table.Container(id);
  if (record == nullptr) {
    return absl::NotFoundError(
        absl::StrCat("container \"", id, "\" does not exist"));
  }
  if (record->phase() == state::v1::CONTAINER_RUNNING) {
    return absl::OkStatus();
  }
  return os::Annotate(StartLocked(engine, *record), Subject(*record));
}

absl::Status FinishStart(Engine& engine, const std::string& id,
                         absl::Time deadline) {
  QUOLL_ASSIGN_OR_RETURN(const auto lock, engine.LockContainer(id));
  const Table::ContainerPtr record = engine.table.Container(id);
  if (record == nullptr || record->phase() != state::v1::CONTAINER_CREATED) {
    return absl::OkStatus();
  }
  QUOLL_ASSIGN_OR_RETURN(OciRuntime* const runtime,
                         engine.Handler(record->runtime_name()));
  // The start was asked for and never answered, so asking again is right: a
  // runtime refuses it for a container that is past "created" (OCI runtime-spec
  // runtime.md, "Start"), which tells us that it was done.
  const absl::Status started = runtime->Start(id, deadline);
  const auto init = os::Pidfd::Open(FromProto(record->init()));
  if (started.ok() || (init.ok() && !init->HasExited())) {
    if (absl::IsUnavailable(started) || absl::IsDeadlineExceeded(started)) {
      return os::Annotate(started, Subject(*record));  // said nothing about it
    }
    CommitRunning(engine, *record);
  }
  return absl::OkStatus();  // else its end is reported by the watch
}

}  // namespace quoll::runtime
