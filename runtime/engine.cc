// SPDX-License-Identifier: Apache-2.0
#include "runtime/engine.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/time/clock.h"
#include "google/protobuf/io/coded_stream.h"
#include "google/protobuf/io/zero_copy_stream_impl_lite.h"

#include "os/annotate.h"
#include "os/log.h"
#include "os/status_macros.h"

namespace quoll::runtime {
namespace {

// Every step of an operation has a deadline of its own, so who holds a lock
// lets go of it; this is for a bug, and for a very long queue.
constexpr absl::Duration kLockPatience = absl::Minutes(10);
constexpr absl::Duration kLongestPause = absl::Minutes(1);

}  // namespace

absl::Status Engine::Save(const SandboxRecord& record) {
  QUOLL_RETURN_IF_ERROR(
      os::Annotate(parts.records.PutSandbox(record), "write its record"));
  table.Put(record);
  return absl::OkStatus();
}

absl::Status Engine::Save(const ContainerRecord& record) {
  QUOLL_RETURN_IF_ERROR(
      os::Annotate(parts.records.PutContainer(record), "write its record"));
  table.Put(record);
  return absl::OkStatus();
}

absl::Status Engine::Forget(const SandboxRecord& record) {
  QUOLL_RETURN_IF_ERROR(os::Annotate(parts.records.DeleteSandbox(record.id()),
                                     "delete its record"));
  table.EraseSandbox(record.id());
  return absl::OkStatus();
}

absl::Status Engine::Forget(const ContainerRecord& record) {
  QUOLL_RETURN_IF_ERROR(os::Annotate(parts.records.DeleteContainer(record.id()),
                                     "delete its record"));
  table.EraseContainer(record.id());
  return absl::OkStatus();
}

absl::StatusOr<os::KeyedMutex::Lock> Engine::LockSandbox(
    const std::string& id) {
  return locks.Acquire(absl::StrCat("sandbox ", id),
                       absl::Now() + kLockPatience);
}

absl::StatusOr<os::KeyedMutex::Lock> Engine::LockContainer(
    const std::string& id) {
  return locks.Acquire(absl::StrCat("container ", id),
                       absl::Now() + kLockPatience);
}

absl::StatusOr<OciRuntime*> Engine::Handler(const std::string& name) const {
  const auto it = parts.handlers.find(HandlerName(name));
  if (it == parts.handlers.end()) {
    const auto name_of = [](std::string* out, const auto& entry) {
      absl::StrAppend(out, entry.first);
    };
    return absl::NotFoundError(
        absl::StrCat("runtime handler \"", HandlerName(name),
                     "\" is not configured; known: ",
                     absl::StrJoin(parts.handlers, ", ", name_of)));
  }
  return it->second;
}

void Engine::Finish(std::string what, std::function<absl::Status()> step,
                    absl::Duration pause) {
  operations.Run(
      [this, what = std::move(what), step = std::move(step), pause]() mutable {
        const absl::Status status = step();
        if (status.ok()) {
          return;
        }
        spdlog::warn("{}, will be tried again in {}: {}", what,
                     absl::FormatDuration(pause), status.ToString());
        const absl::Duration next = std::min(pause * 2, kLongestPause);
        operations.RunAfter(pause, [this, what = std::move(what),
                                    step = std::move(step), next]() mutable {
          Finish(std::move(what), std::move(step), next);
        });
      });
}

void Engine::Shutdown() {
  for (const Table::ContainerPtr& container : table.Containers()) {
    if (const auto ending = table.EndingOf(container->id())) {
      ending->Interrupt();
    }
  }
  operations.Shutdown();
  // Monitors outlive us; after this none of them calls back.
  for (const Table::ContainerPtr& container : table.Containers()) {
    parts.monitors.Unwatch(container->id());
  }
  events.Shutdown();
}

int64_t NowNs() {
  return absl::ToUnixNanos(absl::Now());
}

std::string Subject(const SandboxRecord& record) {
  return absl::StrCat("sandbox ", record.id().substr(0, 13), " (",
                      record.spec().namespace_(), "/", record.spec().name(),
                      ")");
}

std::string Subject(const ContainerRecord& record) {
  return absl::StrCat("container ", record.id().substr(0, 13), " (",
                      record.spec().name(), ")");
}

os::ProcessIdentity FromProto(const state::v1::ProcessIdentity& identity) {
  return {identity.pid(), identity.start_time_ticks()};
}

state::v1::ProcessIdentity ToProto(const os::ProcessIdentity& identity) {
  state::v1::ProcessIdentity proto;
  proto.set_pid(identity.pid);
  proto.set_start_time_ticks(identity.start_time_ticks);
  return proto;
}

std::string Fingerprint(const google::protobuf::MessageLite& message) {
  std::string bytes;
  {
    google::protobuf::io::StringOutputStream stream(&bytes);
    google::protobuf::io::CodedOutputStream coded(&stream);
    // Maps in key order; else two equal specs may differ.
    coded.SetSerializationDeterministic(true);
    message.SerializeToCodedStream(&coded);
  }
  return bytes;
}

bool SharesPidNamespace(const ContainerRecord& record) {
  return record.spec().namespaces().pid() != state::v1::NAMESPACE_CONTAINER;
}

}  // namespace quoll::runtime
