// SPDX-License-Identifier: Apache-2.0
#include <signal.h>

#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"

#include "os/annotate.h"
#include "os/process.h"
#include "os/status_macros.h"
#include "runtime/operations.h"
#include "runtime/sandbox_parts.h"

namespace quoll::runtime {
namespace {

// From KILL to a durable exit. Long, because a loaded node is slow to tear
// down the memory of a large process; a process in uninterruptible sleep does
// not end at all.
constexpr absl::Duration kKillPatience = absl::Seconds(20);

// Empty when its init is gone already.
absl::StatusOr<os::Pidfd> OpenInit(const ContainerRecord& record) {
  absl::StatusOr<os::Pidfd> init = os::Pidfd::Open(FromProto(record.init()));
  if (absl::IsNotFound(init.status())) {
    return os::Pidfd();
  }
  return init;
}

bool Lives(const os::Pidfd& init) {
  return init.fd() >= 0 && !init.HasExited();
}

absl::Status KillEverything(Engine& engine, const ContainerRecord& record,
                            const os::Pidfd& init) {
  absl::Status status;
  const bool lives = Lives(init);
  if (lives) {
    status = init.Signal(SIGKILL);
  }
  if (SharesPidNamespace(record) || !lives) {
    // Others do not die with the init, or live on although it has ended.
    status =
        os::FirstError(std::move(status),
                       engine.parts.cgroups.Kill(record.cgroups_path(),
                                                 absl::Now() + kCgroupTimeout));
  }
  if (lives) {
    return status;
  }
  // The init is not there and nobody told us: the OCI runtime's view of it is
  // the last one to ask.
  QUOLL_ASSIGN_OR_RETURN(OciRuntime* const runtime,
                         engine.Handler(record.runtime_name()));
  return os::FirstError(
      std::move(status),
      runtime->KillAll(record.id(), SIGKILL,
                       absl::Now() + engine.options.runtime_timeout));
}

absl::Status StillThere(const ContainerRecord& record, const os::Pidfd& init) {
  if (Lives(init)) {
    return absl::DeadlineExceededError(absl::StrCat(
        "its process ", record.init().pid(), " does not end ",
        absl::FormatDuration(kKillPatience),
        " after KILL; it is likely in uninterruptible sleep on a dead disk or "
        "server (see /proc/",
        record.init().pid(), "/stack)"));
  }
  return absl::DeadlineExceededError(absl::StrCat(
      "its process has ended, but its monitor ", record.monitor().pid(),
      " did not record the end within ", absl::FormatDuration(kKillPatience)));
}

absl::Status Interrupted() {
  return absl::UnavailableError("the daemon is stopping; ask again");
}

// Signal, patience, KILL. Without the container's lock: its end is recorded
// under it.
absl::Status StopLive(Engine& engine, const ContainerRecord& record,
                      Ending& ending) {
  QUOLL_ASSIGN_OR_RETURN(const os::Pidfd init, OpenInit(record));
  // The init of a CREATED container is still the OCI runtime's own code, which
  // no stop signal concerns.
  if (record.phase() == state::v1::CONTAINER_CREATED) {
    ending.KillBy(absl::InfinitePast());
  }
  // Without any patience the stop signal would only be a race with KILL.
  if (Lives(init) && !ending.MustKillNow()) {
    QUOLL_RETURN_IF_ERROR(init.Signal(record.stop_signal()));
  }
  Ending::Outcome outcome = ending.AwaitKillTime();
  if (outcome == Ending::Outcome::kTimeIsUp) {
    QUOLL_RETURN_IF_ERROR(
        os::Annotate(KillEverything(engine, record, init), "kill"));
    outcome = ending.Await(absl::Now() + kKillPatience);
  }
  switch (outcome) {
    case Ending::Outcome::kEnded:
      return absl::OkStatus();
    case Ending::Outcome::kInterrupted:
      return Interrupted();
    case Ending::Outcome::kTimeIsUp:
      break;
  }
  return StillThere(record, init);
}

// Without a monitor nobody would see it end, so it is discarded as a whole.
absl::Status StopUnknown(Engine& engine, const std::string& id) {
  QUOLL_ASSIGN_OR_RETURN(const auto lock, engine.LockContainer(id));
  const Table::ContainerPtr record = engine.table.Container(id);
  if (record == nullptr || record->phase() != state::v1::CONTAINER_UNKNOWN) {
    return absl::OkStatus();
  }
  QUOLL_ASSIGN_OR_RETURN(OciRuntime* const runtime,
                         engine.Handler(record->runtime_name()));
  QUOLL_RETURN_IF_ERROR(engine.parts.monitors.Discard(
      id, engine.options.paths.ContainerRun(id), runtime->program(),
      absl::Now() + engine.options.runtime_timeout));
  CommitExit(engine, WithUnknownEnd(*record, record->message()));
  return absl::OkStatus();
}

}  // namespace

absl::Status StopContainer(Engine& engine, const std::string& id) {
  Table::ContainerPtr record;
  {
    // Waits for a create or a start that runs.
    QUOLL_ASSIGN_OR_RETURN(const auto lock, engine.LockContainer(id));
    record = engine.table.Container(id);
  }
  if (record == nullptr) {
    return absl::OkStatus();
  }
  switch (record->phase()) {
    case state::v1::CONTAINER_CREATED:
    case state::v1::CONTAINER_RUNNING: {
      const std::shared_ptr<Ending> ending = engine.table.EndingOf(id);
      if (ending == nullptr) {
        return absl::OkStatus();  // removed since
      }
      return os::Annotate(StopLive(engine, *record, *ending), Subject(*record));
    }
    case state::v1::CONTAINER_UNKNOWN:
      return os::Annotate(StopUnknown(engine, id), Subject(*record));
    case state::v1::CONTAINER_CREATING:
      // Its create has failed and could not be taken back yet.
      return AbandonContainer(engine, id);
    default:
      return absl::OkStatus();
  }
}

absl::Status StopContainerJointly(Engine& engine, const std::string& id,
                                  absl::Duration grace, const os::Call& call) {
  if (const std::shared_ptr<Ending> ending = engine.table.EndingOf(id)) {
    ending->KillBy(absl::Now() + std::max(grace, absl::ZeroDuration()));
  }
  return engine.flights.Do(absl::StrCat("stop container ", id), "", call,
                           [&engine, id] { return StopContainer(engine, id); });
}

}  // namespace quoll::runtime
