// SPDX-License-Identifier: Apache-2.0
#include <sys/mount.h>

#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"

#include "os/annotate.h"
#include "os/files.h"
#include "os/log.h"
#include "os/random_id.h"
#include "os/status_macros.h"
#include "runtime/operations.h"
#include "runtime/pod_files.h"
#include "runtime/sandbox_parts.h"
#include "runtime/validate.h"

namespace quoll::runtime {
namespace {

// What a call gets that asks for a sandbox which is there already.
absl::StatusOr<SandboxRecord> HandOver(const SandboxRecord& record,
                                       const SandboxSpec& spec) {
  if (record.phase() != state::v1::SANDBOX_READY) {
    return absl::FailedPreconditionError(
        absl::StrCat(Subject(record), " has the same name, uid and attempt ",
                     spec.attempt(), " and has stopped; use the next attempt"));
  }
  if (Fingerprint(record.spec()) != Fingerprint(spec)) {
    return absl::AlreadyExistsError(absl::StrCat(
        Subject(record), " has the same name, uid and attempt ", spec.attempt(),
        " with a different configuration; use the next attempt"));
  }
  return record;
}

// True when `parent` is ours to remove: nobody had made it before us. The
// kubelet makes a pod's cgroup itself; other clients name one and expect it to
// come and go with the pod.
bool IsMadeByUs(const Engine& engine, const std::string& parent) {
  if (!engine.parts.cgroups.Exists(parent)) {
    return true;
  }
  for (const Table::SandboxPtr& other : engine.table.Sandboxes()) {
    if (other->cgroup_parent() == parent && other->owns_cgroup_parent() &&
        other->phase() != state::v1::SANDBOX_STOPPED) {
      return true;  // whoever is the last of them removes it
    }
  }
  return false;
}

absl::StatusOr<SandboxRecord> NewRecord(const Engine& engine,
                                        const SandboxSpec& spec) {
  SandboxRecord record;
  record.set_format(1);
  record.set_id(os::RandomHexId(32));
  *record.mutable_spec() = spec;
  record.set_phase(state::v1::SANDBOX_CREATING);
  record.set_created_at_ns(NowNs());
  std::string parent = absl::StrCat("/quoll/", record.id());
  if (!spec.cgroup_parent().empty()) {
    QUOLL_ASSIGN_OR_RETURN(parent, CgroupParent(spec.cgroup_parent()));
  }
  record.set_owns_cgroup_parent(IsMadeByUs(engine, parent));
  record.set_cgroup_parent(std::move(parent));
  return record;
}

std::map<std::string, std::string> SysctlsOf(const RuntimeOptions& options,
                                             const SandboxSpec& spec) {
  std::map<std::string, std::string> sysctls(spec.sysctls().begin(),
                                             spec.sysctls().end());
  for (const auto& [name, value] : options.default_sysctls) {
    const absl::string_view owner = NamespaceOfSysctl(name);
    const bool applies = owner == "ipc" ? HasOwnIpc(spec) : HasOwnNetwork(spec);
    if (applies) {
      sysctls.emplace(name, value);  // the pod's own one wins
    }
  }
  return sysctls;
}

absl::Status PinNamespaces(Engine& engine, SandboxRecord& record) {
  const SandboxSpec& spec = record.spec();
  os::PinRequest request;
  request.dir = engine.options.paths.Namespaces(record.id());
  request.net = HasOwnNetwork(spec);
  request.ipc = HasOwnIpc(spec);
  request.uts = HasOwnNetwork(spec);
  request.pid = HasSharedPid(spec);
  if (!request.net && !request.ipc && !request.uts && !request.pid) {
    return absl::OkStatus();
  }
  if (request.uts) {
    request.hostname = EffectiveHostname(spec);
  }
  request.sysctls = SysctlsOf(engine.options, spec);
  if (request.pid) {
    const std::string cgroup = PauseCgroup(record);
    QUOLL_RETURN_IF_ERROR(os::Annotate(engine.parts.cgroups.Create(cgroup),
                                       "cgroup of the pause process"));
    request.pause_program = engine.options.pause_program;
    request.pause_cgroup_procs_files = engine.parts.cgroups.ProcsFiles(cgroup);
  }
  QUOLL_RETURN_IF_ERROR(os::MakeDirectories(request.dir, 0711));
  QUOLL_ASSIGN_OR_RETURN(
      const os::PinnedNamespaces pinned,
      engine.parts.host.Pin(request, absl::Now() + kNamespaceTimeout));
  if (request.pid) {
    *record.mutable_pause() = ToProto(pinned.pause);
  }
  return absl::OkStatus();
}

absl::Status AttachNetwork(Engine& engine, SandboxRecord& record) {
  const SandboxSpec& spec = record.spec();
  // Durable before the first plugin runs: from now on DEL is owed.
  record.set_network_attached(true);
  QUOLL_RETURN_IF_ERROR(engine.Save(record));
  PodNetwork::Request request;
  request.sandbox_id = record.id();
  request.netns_path =
      absl::StrCat(engine.options.paths.Namespaces(record.id()), "/net");
  request.pod_name = spec.name();
  request.pod_namespace = spec.namespace_();
  request.pod_uid = spec.uid();
  request.port_mappings.assign(spec.port_mappings().begin(),
                               spec.port_mappings().end());
  request.dns = spec.dns();
  request.cgroup_parent = record.cgroup_parent();
  QUOLL_ASSIGN_OR_RETURN(
      const PodNetwork::Attachment attachment,
      engine.parts.network.Attach(
          request, absl::Now() + engine.options.network_timeout));
  record.mutable_ips()->Assign(attachment.ips.begin(), attachment.ips.end());
  return absl::OkStatus();
}

absl::Status MountShm(Engine& engine, const SandboxRecord& record) {
  const std::string shm = engine.options.paths.Shm(record.id());
  QUOLL_RETURN_IF_ERROR(os::MakeDirectories(shm, 01777));
  return engine.parts.mounter.Mount(
      {.source = "shm",
       .target = shm,
       .fstype = "tmpfs",
       .flags = MS_NOSUID | MS_NODEV | MS_NOEXEC,
       .data = absl::StrCat("mode=1777,size=", engine.options.shm_bytes)},
      absl::Now() + kMountTimeout);
}

absl::Status MakeFiles(Engine& engine, const SandboxRecord& record) {
  QUOLL_RETURN_IF_ERROR(
      os::Annotate(WritePodFiles(engine.options.paths, record), "pod files"));
  // With host IPC, containers see the node's /dev/shm.
  if (HasOwnIpc(record.spec())) {
    QUOLL_RETURN_IF_ERROR(
        os::Annotate(MountShm(engine, record), "mount /dev/shm"));
  }
  const std::string& log_directory = record.spec().log_directory();
  if (log_directory.empty()) {
    return absl::OkStatus();
  }
  return os::Annotate(
      engine.parts.host
          .ProbePath(log_directory, /*create_missing=*/true,
                     absl::Now() + engine.options.host_path_timeout)
          .status(),
      absl::StrCat("log directory ", log_directory));
}

// The steps between the intent and the commit.
absl::Status Build(Engine& engine, SandboxRecord& record) {
  if (record.owns_cgroup_parent()) {
    QUOLL_RETURN_IF_ERROR(
        os::Annotate(engine.parts.cgroups.Create(record.cgroup_parent()),
                     "create its cgroup"));
  }
  QUOLL_RETURN_IF_ERROR(
      os::Annotate(PinNamespaces(engine, record), "make its namespaces"));
  if (HasOwnNetwork(record.spec())) {
    QUOLL_RETURN_IF_ERROR(
        os::Annotate(AttachNetwork(engine, record), "attach its network"));
  }
  QUOLL_RETURN_IF_ERROR(MakeFiles(engine, record));
  record.set_phase(state::v1::SANDBOX_READY);
  record.set_ready_at_ns(NowNs());
  return engine.Save(record);
}

absl::Status AbandonLocked(Engine& engine, const SandboxRecord& record) {
  QUOLL_RETURN_IF_ERROR(ReleaseSandbox(engine, record));
  QUOLL_RETURN_IF_ERROR(
      os::RemoveTree(engine.options.paths.SandboxRun(record.id())));
  return engine.Forget(record);
}

}  // namespace

absl::Status AbandonSandbox(Engine& engine, const std::string& id) {
  QUOLL_ASSIGN_OR_RETURN(const auto lock, engine.LockSandbox(id));
  const Table::SandboxPtr record = engine.table.Sandbox(id);
  if (record == nullptr || record->phase() != state::v1::SANDBOX_CREATING) {
    return absl::OkStatus();
  }
  return os::Annotate(AbandonLocked(engine, *record), Subject(*record));
}

absl::StatusOr<SandboxRecord> RunSandbox(Engine& engine,
                                         const SandboxSpec& spec) {
  if (const auto existing = engine.table.SandboxByKey(SandboxKey(spec))) {
    if (existing->phase() != state::v1::SANDBOX_CREATING) {
      return HandOver(*existing, spec);
    }
    // Left by an attempt whose effects could not be taken back.
    QUOLL_RETURN_IF_ERROR(os::Annotate(AbandonSandbox(engine, existing->id()),
                                       "clean up after an earlier attempt"));
  }
  QUOLL_RETURN_IF_ERROR(ValidateSandbox(spec));
  QUOLL_RETURN_IF_ERROR(engine.Handler(spec.runtime_handler()).status());
  if (HasOwnNetwork(spec)) {
    QUOLL_RETURN_IF_ERROR(os::Annotate(engine.parts.network.Ready(),
                                       "the pod network is not ready"));
  }
  QUOLL_ASSIGN_OR_RETURN(SandboxRecord record, NewRecord(engine, spec));
  QUOLL_ASSIGN_OR_RETURN(const auto lock, engine.LockSandbox(record.id()));
  absl::Status status = engine.Save(record);
  if (!status.ok()) {
    return os::Annotate(status, Subject(record));
  }
  status = Build(engine, record);
  if (status.ok()) {
    return record;
  }
  if (absl::Status undone = AbandonLocked(engine, record); !undone.ok()) {
    spdlog::error("{}: could not take back a failed start: {}", Subject(record),
                  undone.ToString());
    engine.Finish(
        absl::StrCat(Subject(record), ": clean up a failed start"),
        [&engine, id = record.id()] { return AbandonSandbox(engine, id); });
  }
  return os::Annotate(status, Subject(record));
}

}  // namespace quoll::runtime
