// SPDX-License-Identifier: Apache-2.0
#include "runtime/launch_inputs.h"

#include <algorithm>
#include <array>
#include <filesystem>
#include <set>
#include <utility>

#include "absl/algorithm/container.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"

#include "os/annotate.h"
#include "os/files.h"
#include "os/process.h"
#include "os/status_macros.h"
#include "runtime/validate.h"

namespace quoll::runtime {
namespace {

// Directories of /dev that hold no devices for containers: they get their own
// (OCI runtime-spec, config-linux.md, "Default Devices") or are links.
constexpr std::array<absl::string_view, 5> kSkippedInDev = {
    "pts", "shm", "fd", "mqueue", "hugepages"};
constexpr int kMaxDeviceDepth = 8;
constexpr size_t kMaxDevices = 4096;

// "" when none of them forbids it.
std::string ForbiddenBy(const std::string& path,
                        const std::vector<std::string>& directories) {
  const std::string plain =
      std::filesystem::path(path).lexically_normal().string();
  const auto found = absl::c_find_if(
      directories,
      [&plain](const std::string& dir) { return IsBelow(plain, dir); });
  return found == directories.end() ? "" : *found;
}

// The error for a path that is missing and was not made. InvalidArgument:
// NotFound would read as "no such sandbox" to a CRI client.
absl::Status Missing(const Engine& engine, const std::string& path,
                     const std::string& forbidden_by) {
  if (!forbidden_by.empty()) {
    return absl::InvalidArgumentError(absl::StrCat(
        "host path ", path, " does not exist, and nothing is created below ",
        forbidden_by, " (never_create_host_paths); is it mounted?"));
  }
  return absl::InvalidArgumentError(
      absl::StrCat("host path ", path, " does not exist; ",
                   engine.options.create_missing_host_paths
                       ? "it could not be created"
                       : "create it, or set missing_host_path = \"create\""));
}

// Expands one requested device.
class DeviceWalk {
 public:
  DeviceWalk(os::HostActions& host, const state::v1::DeviceRequest& request,
             absl::Time deadline, std::vector<SpecInput::Device>& out)
      : host_(host), request_(request), deadline_(deadline), out_(out) {}

  absl::Status Run() {
    const std::string& target = request_.container_path().empty()
                                    ? request_.host_path()
                                    : request_.container_path();
    const size_t before = out_.size();
    QUOLL_ASSIGN_OR_RETURN(
        os::HostActions::HostPath path,
        host_.ProbePath(request_.host_path(), /*create_missing=*/false,
                        deadline_));
    QUOLL_RETURN_IF_ERROR(Visit(std::move(path), target, 0));
    return out_.size() > before
               ? absl::OkStatus()
               : absl::InvalidArgumentError(
                     "is neither a device nor a directory of devices");
  }

 private:
  absl::Status Visit(os::HostActions::HostPath path, const std::string& target,
                     int depth) {
    if (path.is_block_device || path.is_char_device) {
      if (out_.size() >= kMaxDevices) {
        return absl::InvalidArgumentError(
            absl::StrCat("has more than ", kMaxDevices, " devices"));
      }
      out_.push_back({.container_path = target,
                      .host = std::move(path),
                      .permissions = request_.permissions().empty()
                                         ? "rwm"
                                         : request_.permissions()});
      return absl::OkStatus();
    }
    // A link back up would go round and round: each directory once.
    if (!path.is_directory || depth > kMaxDeviceDepth ||
        !seen_.insert(path.resolved).second) {
      return absl::OkStatus();
    }
    QUOLL_ASSIGN_OR_RETURN(const std::vector<std::string> names,
                           os::ListDirectory(path.resolved));
    for (const std::string& name : names) {
      if (absl::c_linear_search(kSkippedInDev, name)) {
        continue;
      }
      auto child = host_.ProbePath(absl::StrCat(path.resolved, "/", name),
                                   /*create_missing=*/false, deadline_);
      if (absl::IsNotFound(child.status())) {
        continue;  // unplugged since, or a dangling link
      }
      QUOLL_RETURN_IF_ERROR(child.status());
      QUOLL_RETURN_IF_ERROR(
          Visit(*std::move(child), absl::StrCat(target, "/", name), depth + 1));
    }
    return absl::OkStatus();
  }

  os::HostActions& host_;
  const state::v1::DeviceRequest& request_;
  const absl::Time deadline_;
  std::vector<SpecInput::Device>& out_;
  std::set<std::string> seen_;
};

}  // namespace

absl::StatusOr<std::vector<os::HostActions::HostPath>> ProbeMounts(
    const Engine& engine, const ContainerSpec& spec) {
  const absl::Time deadline = absl::Now() + engine.options.host_path_timeout;
  std::vector<os::HostActions::HostPath> sources;
  for (const state::v1::MountRequest& mount : spec.mounts()) {
    const std::string subject =
        absl::StrCat("mount at ", mount.container_path());
    const std::string forbidden_by =
        ForbiddenBy(mount.host_path(), engine.options.never_create_host_paths);
    auto source = engine.parts.host.ProbePath(
        mount.host_path(),
        engine.options.create_missing_host_paths && forbidden_by.empty(),
        deadline);
    if (absl::IsNotFound(source.status())) {
      return os::Annotate(Missing(engine, mount.host_path(), forbidden_by),
                          subject);
    }
    QUOLL_RETURN_IF_ERROR(
        os::Annotate(source.status(),
                     absl::StrCat(subject, ": host path ", mount.host_path())));
    sources.push_back(*std::move(source));
  }
  return sources;
}

absl::StatusOr<std::vector<SpecInput::Device>> ProbeDevices(
    const Engine& engine, const ContainerSpec& spec) {
  const absl::Time deadline = absl::Now() + engine.options.host_path_timeout;
  std::vector<SpecInput::Device> devices;
  for (const state::v1::DeviceRequest& request : spec.devices()) {
    absl::Status status =
        DeviceWalk(engine.parts.host, request, deadline, devices).Run();
    if (absl::IsNotFound(status)) {
      status = absl::InvalidArgumentError("does not exist on this node");
    }
    QUOLL_RETURN_IF_ERROR(
        os::Annotate(status, absl::StrCat("device ", request.host_path())));
  }
  return devices;
}

absl::StatusOr<std::string> PidNamespacePath(const Engine& engine,
                                             const ContainerSpec& spec) {
  switch (spec.namespaces().pid()) {
    case state::v1::NAMESPACE_POD: {
      const Table::SandboxPtr sandbox = engine.table.Sandbox(spec.sandbox_id());
      if (sandbox == nullptr || sandbox->pause().pid() == 0) {
        return absl::InvalidArgumentError(
            "namespace_options: pid POD needs a sandbox that was made with "
            "pid POD too");
      }
      return absl::StrCat(engine.options.paths.Namespaces(spec.sandbox_id()),
                          "/pid");
    }
    case state::v1::NAMESPACE_TARGET: {
      const std::string& wanted = spec.namespaces().target_container_id();
      QUOLL_ASSIGN_OR_RETURN(const Table::ContainerPtr target,
                             engine.table.FindContainer(wanted));
      if (target->spec().sandbox_id() != spec.sandbox_id()) {
        return absl::InvalidArgumentError(absl::StrCat(
            "target container ", wanted, " is in another sandbox"));
      }
      // By identity: the bare pid may be somebody else's by now.
      if (target->phase() != state::v1::CONTAINER_RUNNING ||
          !os::Pidfd::Open(FromProto(target->init())).ok()) {
        return absl::FailedPreconditionError(
            absl::StrCat("target container ", wanted, " does not run"));
      }
      return absl::StrCat("/proc/", target->init().pid(), "/ns/pid");
    }
    default:
      return std::string();
  }
}

}  // namespace quoll::runtime
