// SPDX-License-Identifier: Apache-2.0
#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>

#include <cerrno>
#include <filesystem>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"

#include "os/annotate.h"
#include "os/files.h"
#include "os/log.h"
#include "os/random_id.h"
#include "os/rooted_path.h"
#include "os/status_macros.h"
#include "os/unique_fd.h"
#include "runtime/launch/user.h"
#include "runtime/launch_inputs.h"
#include "runtime/operations.h"
#include "runtime/sandbox_parts.h"
#include "runtime/stop_signal.h"
#include "runtime/validate.h"

namespace quoll::runtime {
namespace {

absl::Status CheckReady(const Table::SandboxPtr& sandbox,
                        const std::string& id) {
  if (sandbox == nullptr || sandbox->phase() == state::v1::SANDBOX_CREATING) {
    return absl::NotFoundError(
        absl::StrCat("sandbox \"", id, "\" does not exist"));
  }
  if (sandbox->phase() != state::v1::SANDBOX_READY) {
    return absl::FailedPreconditionError(
        absl::StrCat(Subject(*sandbox), " has stopped or is being stopped"));
  }
  return absl::OkStatus();
}

absl::StatusOr<ContainerRecord> HandOver(const ContainerRecord& record,
                                         const ContainerSpec& spec) {
  if (record.phase() != state::v1::CONTAINER_CREATED &&
      record.phase() != state::v1::CONTAINER_RUNNING) {
    return absl::FailedPreconditionError(
        absl::StrCat(Subject(record), " has the same name and attempt ",
                     spec.attempt(), " and has ended; use the next attempt"));
  }
  if (Fingerprint(record.spec()) != Fingerprint(spec)) {
    return absl::AlreadyExistsError(absl::StrCat(
        Subject(record), " has the same name and attempt ", spec.attempt(),
        " with a different configuration; use the next attempt"));
  }
  return record;
}

absl::StatusOr<int> EffectiveStopSignal(const ContainerSpec& spec) {
  if (spec.stop_signal() != 0) {
    return spec.stop_signal();
  }
  const std::string& image_signal = spec.image_config().stop_signal();
  if (image_signal.empty()) {
    return SIGTERM;
  }
  auto number = ParseSignal(image_signal);
  QUOLL_RETURN_IF_ERROR(
      os::Annotate(number.status(), "stop signal of the image"));
  return number;
}

absl::StatusOr<ContainerRecord> NewRecord(const Engine& engine,
                                          const ContainerSpec& spec,
                                          const SandboxRecord& sandbox) {
  ContainerRecord record;
  record.set_format(1);
  record.set_id(os::RandomHexId(32));
  *record.mutable_spec() = spec;
  record.set_phase(state::v1::CONTAINER_CREATING);
  record.set_created_at_ns(NowNs());
  record.set_runtime_name(engine.HandlerName(sandbox.spec().runtime_handler()));
  QUOLL_ASSIGN_OR_RETURN(
      std::string log_path,
      LogPath(sandbox.spec().log_directory(), spec.log_path()));
  record.set_log_path(std::move(log_path));
  record.set_cgroups_path(
      absl::StrCat(sandbox.cgroup_parent(), "/", record.id()));
  QUOLL_ASSIGN_OR_RETURN(const int stop_signal, EffectiveStopSignal(spec));
  record.set_stop_signal(stop_signal);
  *record.mutable_effective_resources() = spec.resources();
  return record;
}

absl::Status MountRootfs(Engine& engine, const ContainerRecord& record) {
  const Paths& paths = engine.options.paths;
  const std::string& id = record.id();
  // What a container writes is nobody's business on the node: 0700 above it.
  // The upper directory itself is the root directory that the container sees.
  QUOLL_RETURN_IF_ERROR(os::MakeDirectories(paths.ContainerState(id), 0700));
  QUOLL_RETURN_IF_ERROR(os::MakeDirectories(paths.Upper(id), 0755));
  if (chmod(paths.Upper(id).c_str(), 0755) != 0) {  // whatever the umask is
    return absl::ErrnoToStatus(errno, absl::StrCat("chmod ", paths.Upper(id)));
  }
  QUOLL_RETURN_IF_ERROR(os::MakeDirectories(paths.Work(id), 0755));
  QUOLL_RETURN_IF_ERROR(os::MakeDirectories(paths.ContainerRun(id), 0711));
  QUOLL_RETURN_IF_ERROR(os::MakeDirectories(paths.Rootfs(id), 0755));
  os::OverlaySpec overlay;
  const auto& layers = record.spec().rootfs().layer_dirs();
  overlay.lower.assign(layers.begin(), layers.end());
  if (overlay.lower.empty()) {  // an overlay has at least one lower layer
    QUOLL_RETURN_IF_ERROR(os::MakeDirectories(paths.EmptyLayer(id), 0755));
    overlay.lower.push_back(paths.EmptyLayer(id));
  }
  overlay.upper = paths.Upper(id);
  overlay.work = paths.Work(id);
  overlay.target = paths.Rootfs(id);
  return engine.parts.mounter.MountOverlay(overlay,
                                           absl::Now() + kMountTimeout);
}

// What can only be known once the root filesystem is there.
absl::Status LookIntoRootfs(Engine& engine, ContainerRecord& record) {
  const std::string rootfs = engine.options.paths.Rootfs(record.id());
  const os::UniqueFd root(
      open(rootfs.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (!root.valid()) {
    return absl::ErrnoToStatus(errno, absl::StrCat("open ", rootfs));
  }
  const ContainerSpec& spec = record.spec();
  QUOLL_ASSIGN_OR_RETURN(
      *record.mutable_effective_user(),
      ResolveUser(root.get(), spec.security().user(),
                  spec.security().has_user(), spec.image_config().user()));
  const std::string& directory = spec.working_dir().empty()
                                     ? spec.image_config().working_dir()
                                     : spec.working_dir();
  if (directory.empty() || directory == "/") {
    return absl::OkStatus();
  }
  return os::Annotate(
      os::MakeDirectoriesInRoot(root.get(), directory, 0755).status(),
      absl::StrCat("working directory ", directory));
}

absl::StatusOr<std::vector<LaunchPatch>> PrepareExtensions(
    Engine& engine, const SandboxRecord& sandbox,
    const ContainerRecord& record) {
  const Paths& paths = engine.options.paths;
  const LaunchContext context{.sandbox = sandbox,
                              .container = record,
                              .rootfs = paths.Rootfs(record.id()),
                              .upper = paths.Upper(record.id()),
                              .work = paths.Work(record.id())};
  std::vector<LaunchPatch> patches;
  for (ContainerExtension* extension : engine.parts.extensions) {
    auto patch = extension->Prepare(context);
    QUOLL_RETURN_IF_ERROR(os::Annotate(patch.status(), extension->name()));
    patches.push_back(*std::move(patch));
  }
  return patches;
}

absl::Status WriteConfig(Engine& engine, const SandboxRecord& sandbox,
                         const ContainerRecord& record) {
  const Paths& paths = engine.options.paths;
  const ContainerSpec& spec = record.spec();
  QUOLL_ASSIGN_OR_RETURN(std::string pid_namespace,
                         PidNamespacePath(engine, spec));
  QUOLL_ASSIGN_OR_RETURN(auto mount_sources, ProbeMounts(engine, spec));
  QUOLL_ASSIGN_OR_RETURN(auto devices, ProbeDevices(engine, spec));
  QUOLL_ASSIGN_OR_RETURN(const std::vector<LaunchPatch> patches,
                         PrepareExtensions(engine, sandbox, record));
  const SpecInput input{.sandbox = sandbox,
                        .container = record,
                        .node = engine.parts.node,
                        .rootfs = paths.Rootfs(record.id()),
                        .namespaces_dir = paths.Namespaces(sandbox.id()),
                        .pid_namespace_path = std::move(pid_namespace),
                        .resolv_conf = paths.ResolvConf(sandbox.id()),
                        .hostname_file = paths.HostnameFile(sandbox.id()),
                        .shm_dir = HasOwnIpc(sandbox.spec())
                                       ? paths.Shm(sandbox.id())
                                       : std::string("/dev/shm"),
                        .mount_sources = std::move(mount_sources),
                        .devices = std::move(devices),
                        .patches = patches,
                        .cgroups_path = record.cgroups_path()};
  QUOLL_ASSIGN_OR_RETURN(const std::string config, BuildOciSpec(input));
  return os::ReplaceFile(paths.ConfigJson(record.id()), config, 0600);
}

absl::Status Launch(Engine& engine, ContainerRecord& record) {
  if (!record.log_path().empty()) {
    const std::string directory =
        std::filesystem::path(record.log_path()).parent_path().string();
    QUOLL_RETURN_IF_ERROR(os::Annotate(
        engine.parts.host
            .ProbePath(directory, /*create_missing=*/true,
                       absl::Now() + engine.options.host_path_timeout)
            .status(),
        absl::StrCat("log directory ", directory)));
  }
  QUOLL_ASSIGN_OR_RETURN(OciRuntime* const runtime,
                         engine.Handler(record.runtime_name()));
  MonitorLaunch launch;
  launch.container_id = record.id();
  launch.bundle = engine.options.paths.ContainerRun(record.id());
  launch.runtime = runtime->program();
  launch.log_path = record.log_path();
  launch.tty = record.spec().tty();
  launch.stdin = record.spec().stdin();
  launch.stdin_once = record.spec().stdin_once();
  QUOLL_ASSIGN_OR_RETURN(
      const LaunchedContainer launched,
      engine.parts.monitors.Launch(
          launch, absl::Now() + engine.options.runtime_timeout));
  *record.mutable_monitor() = ToProto(launched.monitor);
  *record.mutable_init() = ToProto(launched.init);
  return absl::OkStatus();
}

// The steps between the intent and the commit.
absl::Status Build(Engine& engine, const SandboxRecord& sandbox,
                   ContainerRecord& record) {
  QUOLL_RETURN_IF_ERROR(
      os::Annotate(MountRootfs(engine, record), "make its root filesystem"));
  QUOLL_RETURN_IF_ERROR(LookIntoRootfs(engine, record));
  QUOLL_RETURN_IF_ERROR(WriteConfig(engine, sandbox, record));
  QUOLL_RETURN_IF_ERROR(Launch(engine, record));
  for (ContainerExtension* extension : engine.parts.extensions) {
    QUOLL_RETURN_IF_ERROR(
        os::Annotate(extension->OnInitCreated(record), extension->name()));
  }
  // A stop of the sandbox has set its phase before it waits for our lock:
  // either we see it here, or it sees a container to stop.
  QUOLL_RETURN_IF_ERROR(
      CheckReady(engine.table.Sandbox(sandbox.id()), sandbox.id()));
  // What the watch reports waits for our lock, so it comes after the commit.
  QUOLL_RETURN_IF_ERROR(
      os::Annotate(WatchContainer(engine, record), "watch its monitor"));
  record.set_phase(state::v1::CONTAINER_CREATED);
  return engine.Save(record);
}

absl::Status AbandonLocked(Engine& engine, const ContainerRecord& record) {
  QUOLL_RETURN_IF_ERROR(ReleaseContainer(engine, record));
  return engine.Forget(record);
}

struct Intent {
  Table::SandboxPtr sandbox;
  ContainerRecord record;
  os::KeyedMutex::Lock lock;  // of the container
};

// The sandbox's lock is held for the intent only: a container that takes long
// to make must not keep its sandbox from being stopped.
absl::StatusOr<Intent> RecordIntent(Engine& engine, const ContainerSpec& spec) {
  QUOLL_RETURN_IF_ERROR(
      CheckReady(engine.table.Sandbox(spec.sandbox_id()), spec.sandbox_id()));
  QUOLL_ASSIGN_OR_RETURN(const auto sandbox_lock,
                         engine.LockSandbox(spec.sandbox_id()));
  Intent intent;
  intent.sandbox = engine.table.Sandbox(spec.sandbox_id());
  QUOLL_RETURN_IF_ERROR(CheckReady(intent.sandbox, spec.sandbox_id()));
  QUOLL_RETURN_IF_ERROR(ValidateContainer(spec, *intent.sandbox));
  QUOLL_ASSIGN_OR_RETURN(intent.record,
                         NewRecord(engine, spec, *intent.sandbox));
  QUOLL_ASSIGN_OR_RETURN(intent.lock, engine.LockContainer(intent.record.id()));
  QUOLL_RETURN_IF_ERROR(engine.Save(intent.record));
  return intent;
}

}  // namespace

absl::Status AbandonContainer(Engine& engine, const std::string& id) {
  QUOLL_ASSIGN_OR_RETURN(const auto lock, engine.LockContainer(id));
  const Table::ContainerPtr record = engine.table.Container(id);
  if (record == nullptr || record->phase() != state::v1::CONTAINER_CREATING) {
    return absl::OkStatus();
  }
  return os::Annotate(AbandonLocked(engine, *record), Subject(*record));
}

absl::StatusOr<ContainerRecord> CreateContainer(
    Engine& engine, const ContainerSpec& spec,
    const std::function<void()>& on_recorded) {
  if (const auto existing = engine.table.ContainerByKey(ContainerKey(spec))) {
    if (existing->phase() != state::v1::CONTAINER_CREATING) {
      return HandOver(*existing, spec);
    }
    // Left by an attempt whose effects could not be taken back.
    QUOLL_RETURN_IF_ERROR(os::Annotate(AbandonContainer(engine, existing->id()),
                                       "clean up after an earlier attempt"));
  }
  absl::StatusOr<Intent> intent = RecordIntent(engine, spec);
  QUOLL_RETURN_IF_ERROR(os::Annotate(
      intent.status(), absl::StrCat("container \"", spec.name(), "\"")));
  if (on_recorded) {
    on_recorded();
  }
  ContainerRecord& record = intent->record;
  absl::Status status = Build(engine, *intent->sandbox, record);
  if (status.ok()) {
    return record;
  }
  if (absl::Status undone = AbandonLocked(engine, record); !undone.ok()) {
    spdlog::error("{}: could not take back a failed create: {}",
                  Subject(record), undone.ToString());
    engine.Finish(
        absl::StrCat(Subject(record), ": clean up a failed create"),
        [&engine, id = record.id()] { return AbandonContainer(engine, id); });
  }
  return os::Annotate(status, Subject(record));
}

}  // namespace quoll::runtime
