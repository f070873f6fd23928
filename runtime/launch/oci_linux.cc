// SPDX-License-Identifier: Apache-2.0
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"

#include "os/status_macros.h"
#include "runtime/launch/capabilities.h"
#include "runtime/launch/oci_parts.h"
#include "runtime/launch/seccomp_profile.h"

namespace quoll::runtime {
namespace {

using nlohmann::json;
using state::v1::SecurityProfile;

json Joined(const char* type, std::string path) {
  return {{"type", type}, {"path", std::move(path)}};
}

absl::Status AddPidNamespace(const SpecInput& input, json& list) {
  switch (EffectiveNamespaces(input).pid()) {
    case state::v1::NAMESPACE_CONTAINER:
      list.push_back({{"type", "pid"}});
      return absl::OkStatus();
    case state::v1::NAMESPACE_NODE:
      return absl::OkStatus();
    case state::v1::NAMESPACE_POD:
    case state::v1::NAMESPACE_TARGET:
      if (input.pid_namespace_path.empty()) {
        return absl::InternalError(
            "the PID namespace to share was not looked up");
      }
      list.push_back(Joined("pid", input.pid_namespace_path));
      return absl::OkStatus();
    default:
      return absl::InvalidArgumentError(
          absl::StrCat("PID namespace mode ", EffectiveNamespaces(input).pid(),
                       " is unknown"));
  }
}

absl::StatusOr<json> NamespacesJson(const SpecInput& input) {
  // Network, IPC and UTS belong to the sandbox: it was made with its own
  // options, whatever a container repeats.
  const state::v1::Namespaces& pod = input.sandbox.spec().namespaces();
  const std::string& dir = input.namespaces_dir;
  json list = json::array({{{"type", "mount"}}});
  // On v1 the hierarchy's view comes from bind mounts of the container's own
  // part, which programs that read /proc/self/cgroup cannot match with a
  // namespaced path; so no namespace there. A privileged container manages
  // the node and sees all of it.
  if (input.node.cgroup_v2 && !input.container.spec().security().privileged()) {
    list.push_back({{"type", "cgroup"}});
  }
  QUOLL_RETURN_IF_ERROR(AddPidNamespace(input, list));
  if (pod.network() != state::v1::NAMESPACE_NODE) {
    list.push_back(Joined("network", absl::StrCat(dir, "/net")));
    list.push_back(Joined("uts", absl::StrCat(dir, "/uts")));
  }
  if (pod.ipc() != state::v1::NAMESPACE_NODE) {
    list.push_back(Joined("ipc", absl::StrCat(dir, "/ipc")));
  }
  return list;
}

absl::Status AddSeccomp(const SpecInput& input, json& out) {
  const state::v1::Security& security = input.container.spec().security();
  const SecurityProfile& profile = security.seccomp();
  if (security.privileged() || profile.kind() == SecurityProfile::UNCONFINED) {
    return absl::OkStatus();
  }
  if (!input.node.seccomp) {
    return absl::FailedPreconditionError(
        "a seccomp profile is asked for, but this kernel has no seccomp");
  }
  if (profile.kind() == SecurityProfile::LOCALHOST) {
    QUOLL_ASSIGN_OR_RETURN(out["seccomp"],
                           LoadSeccompProfile(profile.localhost_ref()));
    return absl::OkStatus();
  }
  if (profile.kind() != SecurityProfile::RUNTIME_DEFAULT) {
    return absl::InvalidArgumentError(
        absl::StrCat("seccomp profile type ", profile.kind(), " is unknown"));
  }
  QUOLL_ASSIGN_OR_RETURN(CapabilitySets capabilities,
                         ChooseCapabilities(security, input.node.capabilities));
  out["seccomp"] = DefaultSeccompProfile(capabilities.held);
  return absl::OkStatus();
}

absl::StatusOr<json> PathsJson(
    const char* field,
    const google::protobuf::RepeatedPtrField<std::string>& paths) {
  json list = json::array();
  for (const std::string& path : paths) {
    QUOLL_RETURN_IF_ERROR(CheckText(field, path));
    if (path.empty() || path[0] != '/') {
      return absl::InvalidArgumentError(
          absl::StrCat(field, " has \"", path, "\", which is not absolute"));
    }
    list.push_back(path);
  }
  return list;
}

}  // namespace

state::v1::Namespaces EffectiveNamespaces(const SpecInput& input) {
  return input.container.spec().has_namespaces()
             ? input.container.spec().namespaces()
             : input.sandbox.spec().namespaces();
}

absl::StatusOr<json> LinuxJson(const SpecInput& input) {
  const state::v1::Security& security = input.container.spec().security();
  const Resources& resources = EffectiveResources(input.container);
  QUOLL_RETURN_IF_ERROR(CheckResources(resources, input.node));
  QUOLL_ASSIGN_OR_RETURN(DevicesPart devices, DevicesJson(input, "/dev"));

  json out = {{"cgroupsPath", input.cgroups_path},
              {"resources", ResourcesJson(resources, input.node)},
              {"devices", std::move(devices.nodes)}};
  out["resources"]["devices"] = std::move(devices.rules);
  QUOLL_ASSIGN_OR_RETURN(out["namespaces"], NamespacesJson(input));
  QUOLL_RETURN_IF_ERROR(AddSeccomp(input, out));
  if (!security.privileged()) {
    QUOLL_ASSIGN_OR_RETURN(out["maskedPaths"],
                           PathsJson("masked_paths", security.masked_paths()));
    QUOLL_ASSIGN_OR_RETURN(
        out["readonlyPaths"],
        PathsJson("readonly_paths", security.readonly_paths()));
  }
  return out;
}

}  // namespace quoll::runtime
