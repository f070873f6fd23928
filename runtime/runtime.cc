// SPDX-License-Identifier: Apache-2.0
#include "runtime/runtime.h"

#include <algorithm>
#include <atomic>
#include <utility>

#include "absl/strings/str_cat.h"

#include "os/files.h"
#include "os/log.h"
#include "os/status_macros.h"
#include "runtime/disk_usage.h"
#include "runtime/engine.h"
#include "runtime/operations.h"

namespace quoll::runtime {
namespace {

bool IsBeingMade(const SandboxRecord& record) {
  return record.phase() == state::v1::SANDBOX_CREATING;
}
bool IsBeingMade(const ContainerRecord& record) {
  return record.phase() == state::v1::CONTAINER_CREATING;
}

// Copies for a caller, oldest first.
template <typename Record>
std::vector<Record> Listed(
    std::vector<std::shared_ptr<const Record>> snapshots) {
  std::sort(snapshots.begin(), snapshots.end(),
            [](const auto& a, const auto& b) {
              return std::pair(a->created_at_ns(), absl::string_view(a->id())) <
                     std::pair(b->created_at_ns(), absl::string_view(b->id()));
            });
  std::vector<Record> records;
  records.reserve(snapshots.size());
  for (const auto& snapshot : snapshots) {
    if (!IsBeingMade(*snapshot)) {
      records.push_back(*snapshot);
    }
  }
  return records;
}

class Sandboxes : public SandboxService {
 public:
  explicit Sandboxes(Engine& engine) : engine_(engine) {}

  absl::StatusOr<SandboxRecord> Run(const SandboxSpec& spec,
                                    const os::Call& call) override {
    return engine_.sandbox_flights.Do(
        SandboxKey(spec), Fingerprint(spec), call,
        [&engine = engine_, spec] { return RunSandbox(engine, spec); });
  }

  absl::Status Stop(const std::string& id, const os::Call& call) override {
    return Do("stop", StopSandbox, id, call);
  }

  absl::Status Remove(const std::string& id, const os::Call& call) override {
    return Do("remove", RemoveSandbox, id, call);
  }

  absl::StatusOr<SandboxRecord> Get(const std::string& id) const override {
    QUOLL_ASSIGN_OR_RETURN(const Table::SandboxPtr found,
                           engine_.table.FindSandbox(id));
    return *found;
  }

  std::vector<SandboxRecord> List() const override {
    return Listed(engine_.table.Sandboxes());
  }

 private:
  // Joint, and OK for an unknown id.
  absl::Status Do(absl::string_view verb,
                  absl::Status (*use_case)(Engine&, const std::string&),
                  const std::string& prefix, const os::Call& call) {
    const auto found = engine_.table.FindSandbox(prefix);
    if (!found.ok()) {
      return absl::IsNotFound(found.status()) ? absl::OkStatus()
                                              : found.status();
    }
    const std::string id = (*found)->id();
    return engine_.flights.Do(
        absl::StrCat(verb, " sandbox ", id), "", call,
        [&engine = engine_, use_case, id] { return use_case(engine, id); });
  }

  Engine& engine_;
};

class Containers : public ContainerService {
 public:
  explicit Containers(Engine& engine) : engine_(engine) {}

  absl::StatusOr<ContainerRecord> Create(
      const ContainerSpec& given, const os::Call& call,
      std::function<void()> on_recorded) override {
    QUOLL_ASSIGN_OR_RETURN(const Table::SandboxPtr sandbox,
                           engine_.table.FindSandbox(given.sandbox_id()));
    ContainerSpec spec = given;
    spec.set_sandbox_id(sandbox->id());
    // Shared with a worker that may outlast this call.
    auto recorded = std::make_shared<std::atomic<bool>>(false);
    auto record = engine_.container_flights.Do(
        ContainerKey(spec), Fingerprint(spec), call,
        [&engine = engine_, spec, recorded, on_recorded] {
          return CreateContainer(engine, spec, [&] {
            recorded->store(true);
            if (on_recorded) {
              on_recorded();
            }
          });
        });
    // Who joined, or was handed what is there, stands on its record too.
    if (record.ok() && !recorded->load() && on_recorded) {
      on_recorded();
    }
    return record;
  }

  absl::Status Start(const std::string& prefix, const os::Call& call) override {
    QUOLL_ASSIGN_OR_RETURN(const Table::ContainerPtr found,
                           engine_.table.FindContainer(prefix));
    return engine_.flights.Do(absl::StrCat("start container ", found->id()), "",
                              call, [&engine = engine_, id = found->id()] {
                                return StartContainer(engine, id);
                              });
  }

  absl::Status Stop(const std::string& prefix, absl::Duration grace,
                    const os::Call& call) override {
    const auto found = engine_.table.FindContainer(prefix);
    if (!found.ok()) {
      return absl::IsNotFound(found.status()) ? absl::OkStatus()
                                              : found.status();
    }
    return StopContainerJointly(engine_, (*found)->id(), grace, call);
  }

  absl::Status Remove(const std::string& prefix,
                      const os::Call& call) override {
    const auto found = engine_.table.FindContainer(prefix);
    if (!found.ok()) {
      return absl::IsNotFound(found.status()) ? absl::OkStatus()
                                              : found.status();
    }
    const std::string id = (*found)->id();
    return engine_.flights.Do(
        absl::StrCat("remove container ", id), "", call,
        [&engine = engine_, id] { return RemoveContainer(engine, id); });
  }

  absl::StatusOr<ContainerRecord> Get(const std::string& id) const override {
    QUOLL_ASSIGN_OR_RETURN(const Table::ContainerPtr found,
                           engine_.table.FindContainer(id));
    return *found;
  }

  std::vector<ContainerRecord> List() const override {
    return Listed(engine_.table.Containers());
  }

  absl::StatusOr<ExecOutput> ExecSync(const std::string& id,
                                      const std::vector<std::string>& argv,
                                      absl::Duration timeout,
                                      const os::Call& call) override {
    QUOLL_ASSIGN_OR_RETURN(const Table::ContainerPtr found,
                           engine_.table.FindContainer(id));
    return ExecInContainer(engine_, *found, argv, timeout, call);
  }

  absl::Status ReopenLog(const std::string& id, const os::Call& call) override {
    QUOLL_ASSIGN_OR_RETURN(const Table::ContainerPtr found,
                           engine_.table.FindContainer(id));
    return ReopenContainerLog(engine_, *found, call);
  }

  absl::StatusOr<std::string> OciSpec(const std::string& id) const override {
    QUOLL_ASSIGN_OR_RETURN(const Table::ContainerPtr found,
                           engine_.table.FindContainer(id));
    return os::ReadFile(engine_.options.paths.ConfigJson(found->id()));
  }

  FsUsage WritableUsage() const override {
    FsUsage usage;
    usage.mountpoint = engine_.options.paths.ContainersState();
    const auto measured = MeasureTree(usage.mountpoint);
    if (!measured.ok()) {
      spdlog::warn("measure the writable layers: {}",
                   measured.status().ToString());
      return usage;
    }
    usage.bytes = measured->bytes;
    usage.inodes = measured->inodes;
    return usage;
  }

 private:
  Engine& engine_;
};

}  // namespace

struct Runtime::Impl {
  Impl(RuntimeOptions options, RuntimeParts parts)
      : engine(std::move(options), std::move(parts)) {}

  Engine engine;
  Sandboxes sandboxes{engine};
  Containers containers{engine};
};

Runtime::Runtime(RuntimeOptions options, RuntimeParts parts)
    : impl_(std::make_unique<Impl>(std::move(options), std::move(parts))) {}

Runtime::~Runtime() {
  impl_->engine.Shutdown();
}

absl::Status Runtime::Recover() {
  return RecoverAll(impl_->engine);
}

SandboxService& Runtime::sandboxes() {
  return impl_->sandboxes;
}

ContainerService& Runtime::containers() {
  return impl_->containers;
}

absl::StatusOr<std::set<std::string>> Runtime::LayersInUse() const {
  if (!impl_->engine.unreadable.empty()) {
    return absl::FailedPreconditionError(absl::StrCat(
        "the record of ", impl_->engine.unreadable.front(),
        " cannot be read, so what it stands on is not known; remove it from "
        "the table set_aside of quoll.db once nothing of it is needed"));
  }
  std::set<std::string> layers;
  for (const Table::ContainerPtr& record : impl_->engine.table.Containers()) {
    const auto& dirs = record->spec().rootfs().layer_dirs();
    layers.insert(dirs.begin(), dirs.end());
  }
  return layers;
}

}  // namespace quoll::runtime
