// SPDX-License-Identifier: Apache-2.0
#include "cri/translate_sandbox.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <algorithm>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"

#include "cri/translate_linux.h"
#include "os/status_macros.h"

namespace quoll::cri {
namespace {

namespace criv1 = ::runtime::v1;

// The two enums have the same values (state.proto says so).
static_assert(static_cast<int>(criv1::UDP) ==
              static_cast<int>(state::v1::PortMapping::UDP));
static_assert(static_cast<int>(criv1::SCTP) ==
              static_cast<int>(state::v1::PortMapping::SCTP));

// Linux's limit is sethostname(2)'s __NEW_UTS_LEN.
constexpr size_t kMaxHostname = 64;

absl::Status CheckMetadata(const criv1::PodSandboxMetadata& metadata) {
  constexpr absl::string_view kWhy =
      "a pod is told apart by its name, namespace, uid and attempt";
  QUOLL_RETURN_IF_ERROR(
      RequireField(metadata.name(), "config.metadata.name", kWhy));
  QUOLL_RETURN_IF_ERROR(
      RequireField(metadata.namespace_(), "config.metadata.namespace", kWhy));
  return RequireField(metadata.uid(), "config.metadata.uid", kWhy);
}

absl::Status CheckHandler(const std::string& handler,
                          const DaemonFacts& facts) {
  if (handler.empty() || facts.handlers.contains(handler)) {
    return absl::OkStatus();
  }
  return absl::InvalidArgumentError(absl::StrCat(
      "runtime_handler \"", handler, "\" is not offered by this node; it has ",
      absl::StrJoin(facts.handlers, ", ",
                    [](std::string* out, const auto& entry) {
                      absl::StrAppend(out, entry.first);
                    }),
      ". Change the pod's RuntimeClass, or write [runtimes.", handler,
      "] with an installed program into quoll.toml"));
}

absl::Status CheckCgroupParent(const std::string& parent) {
  if (!absl::StrContains(parent, '/') && absl::EndsWith(parent, ".slice")) {
    return absl::InvalidArgumentError(absl::StrCat(
        "config.linux.cgroup_parent \"", parent,
        "\" is a systemd slice, but "
        "this node's cgroup driver is cgroupfs: set cgroupDriver: cgroupfs in "
        "the kubelet's configuration"));
  }
  const std::vector<absl::string_view> parts = absl::StrSplit(parent, '/');
  if (std::find(parts.begin(), parts.end(), "..") != parts.end()) {
    return absl::InvalidArgumentError(absl::StrCat(
        "config.linux.cgroup_parent \"", parent, "\" must not contain \"..\""));
  }
  return absl::OkStatus();
}

absl::Status AddPort(const criv1::PortMapping& in, int index,
                     runtime::SandboxSpec& spec) {
  const std::string field = absl::StrCat("config.port_mappings[", index, "]");
  if (in.container_port() < 1 || in.container_port() > 65535) {
    return absl::InvalidArgumentError(
        absl::StrCat(field, ".container_port is ", in.container_port(),
                     ": it must be within 1 and 65535"));
  }
  if (in.host_port() < 0 || in.host_port() > 65535) {
    return absl::InvalidArgumentError(
        absl::StrCat(field, ".host_port is ", in.host_port(),
                     ": it must be within 0 (none) and 65535"));
  }
  if (!criv1::Protocol_IsValid(in.protocol())) {
    return absl::InvalidArgumentError(
        absl::StrCat(field, ".protocol: ", static_cast<int>(in.protocol()),
                     " is none of TCP, UDP and SCTP"));
  }
  in6_addr address{};
  if (!in.host_ip().empty() &&
      inet_pton(AF_INET, in.host_ip().c_str(), &address) != 1 &&
      inet_pton(AF_INET6, in.host_ip().c_str(), &address) != 1) {
    return absl::InvalidArgumentError(absl::StrCat(
        field, ".host_ip \"", in.host_ip(),
        "\" is no IP address; leave it out for all of the node's"));
  }
  state::v1::PortMapping* out = spec.add_port_mappings();
  out->set_protocol(
      static_cast<state::v1::PortMapping::Protocol>(in.protocol()));
  out->set_container_port(in.container_port());
  out->set_host_port(in.host_port());
  out->set_host_ip(in.host_ip());
  return absl::OkStatus();
}

absl::Status AddLinux(const criv1::LinuxPodSandboxConfig& in,
                      runtime::SandboxSpec& spec) {
  QUOLL_RETURN_IF_ERROR(CheckCgroupParent(in.cgroup_parent()));
  spec.set_cgroup_parent(in.cgroup_parent());
  *spec.mutable_sysctls() = in.sysctls();
  const criv1::LinuxSandboxSecurityContext& security = in.security_context();
  QUOLL_ASSIGN_OR_RETURN(
      *spec.mutable_namespaces(),
      ToNamespaces(security.namespace_options(), /*for_container=*/false,
                   "config.linux.security_context.namespace_options"));
  spec.set_privileged(security.privileged());
  if (security.has_selinux_options()) {
    *spec.mutable_selinux() = ToSeLinux(security.selinux_options());
  }
  if (in.has_overhead()) {
    QUOLL_ASSIGN_OR_RETURN(*spec.mutable_overhead(),
                           ToResources(in.overhead(), "config.linux.overhead"));
  }
  if (in.has_resources()) {
    QUOLL_ASSIGN_OR_RETURN(
        *spec.mutable_resources(),
        ToResources(in.resources(), "config.linux.resources"));
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<runtime::SandboxSpec> ToSandboxSpec(
    const criv1::PodSandboxConfig& config, const std::string& handler,
    const DaemonFacts& facts) {
  QUOLL_RETURN_IF_ERROR(CheckMetadata(config.metadata()));
  QUOLL_RETURN_IF_ERROR(CheckHandler(handler, facts));
  if (config.hostname().size() > kMaxHostname) {
    return absl::InvalidArgumentError(
        absl::StrCat("config.hostname has ", config.hostname().size(),
                     " characters; Linux allows ", kMaxHostname));
  }
  if (!config.log_directory().empty() &&
      !absl::StartsWith(config.log_directory(), "/")) {
    return absl::InvalidArgumentError(
        absl::StrCat("config.log_directory \"", config.log_directory(),
                     "\" must be an absolute path, or empty for no logs"));
  }
  QUOLL_RETURN_IF_ERROR(
      RefuseNul(config.log_directory(), "config.log_directory"));
  runtime::SandboxSpec spec;
  spec.set_name(config.metadata().name());
  spec.set_uid(config.metadata().uid());
  spec.set_namespace_(config.metadata().namespace_());
  spec.set_attempt(config.metadata().attempt());
  spec.set_hostname(config.hostname());
  spec.set_log_directory(config.log_directory());
  if (config.has_dns_config()) {
    state::v1::Dns* dns = spec.mutable_dns();
    *dns->mutable_servers() = config.dns_config().servers();
    *dns->mutable_searches() = config.dns_config().searches();
    *dns->mutable_options() = config.dns_config().options();
  }
  for (int i = 0; i < config.port_mappings_size(); ++i) {
    QUOLL_RETURN_IF_ERROR(AddPort(config.port_mappings(i), i, spec));
  }
  *spec.mutable_labels() = config.labels();
  *spec.mutable_annotations() = config.annotations();
  QUOLL_RETURN_IF_ERROR(AddLinux(config.linux(), spec));
  spec.set_runtime_handler(handler);
  return spec;
}

}  // namespace quoll::cri
