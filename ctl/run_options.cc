// SPDX-License-Identifier: Apache-2.0
#include "ctl/run_options.h"

#include <algorithm>
#include <cstdint>

#include "absl/status/status.h"
#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/string_view.h"

#include "os/status_macros.h"

namespace quoll::ctl {
namespace {

namespace criv1 = ::runtime::v1;

bool ParsePort(absl::string_view text, int32_t& port) {
  return absl::SimpleAtoi(text, &port) && port >= 1 && port <= 65535;
}

absl::Status AddPort(const std::string& text, criv1::PodSandboxConfig& out) {
  const absl::Status bad = absl::InvalidArgumentError(
      absl::StrCat("--port ", text,
                   ": write HOSTPORT:PORT, HOSTPORT:PORT/udp or "
                   "HOSTPORT:PORT/sctp, ports within 1 and 65535"));
  const std::vector<std::string> parts = absl::StrSplit(text, '/');
  const std::vector<std::string> ports = absl::StrSplit(parts[0], ':');
  int32_t host = 0;
  int32_t container = 0;
  if (parts.size() > 2 || ports.size() != 2 || !ParsePort(ports[0], host) ||
      !ParsePort(ports[1], container)) {
    return bad;
  }
  criv1::Protocol protocol = criv1::TCP;
  if (parts.size() == 2 &&
      !criv1::Protocol_Parse(absl::AsciiStrToUpper(parts[1]), &protocol)) {
    return bad;
  }
  criv1::PortMapping* mapping = out.add_port_mappings();
  mapping->set_host_port(host);
  mapping->set_container_port(container);
  mapping->set_protocol(protocol);
  return absl::OkStatus();
}

absl::Status AddEnv(const std::string& text, criv1::ContainerConfig& out) {
  const size_t equals = text.find('=');
  if (equals == 0 || equals == std::string::npos) {
    return absl::InvalidArgumentError(
        absl::StrCat("--env ", text.substr(0, equals), ": write NAME=VALUE"));
  }
  criv1::KeyValue* variable = out.add_envs();
  variable->set_key(text.substr(0, equals));
  variable->set_value(text.substr(equals + 1));
  return absl::OkStatus();
}

absl::Status AddMount(const std::string& text, criv1::ContainerConfig& out) {
  const std::vector<std::string> parts = absl::StrSplit(text, ':');
  const bool fits =
      (parts.size() == 2 ||
       (parts.size() == 3 && (parts[2] == "ro" || parts[2] == "rw"))) &&
      absl::StartsWith(parts[0], "/") && absl::StartsWith(parts[1], "/");
  if (!fits) {
    return absl::InvalidArgumentError(
        absl::StrCat("--mount ", text,
                     ": write HOSTPATH:PATH or HOSTPATH:PATH:ro, both "
                     "paths absolute"));
  }
  criv1::Mount* mount = out.add_mounts();
  mount->set_host_path(parts[0]);
  mount->set_container_path(parts[1]);
  mount->set_readonly(parts.size() == 3 && parts[2] == "ro");
  return absl::OkStatus();
}

// Names of pods and namespaces are DNS labels (RFC 1123): the pod's one is its
// host name and part of a file name, too.
absl::Status CheckName(absl::string_view option, absl::string_view name) {
  const auto fits = [](char c) {
    return absl::ascii_islower(c) || absl::ascii_isdigit(c) || c == '-';
  };
  if (name.empty() || name.size() > 63 || name.front() == '-' ||
      name.back() == '-' || !std::all_of(name.begin(), name.end(), fits)) {
    return absl::InvalidArgumentError(
        absl::StrCat(option, " ", name,
                     ": write up to 63 of a-z, 0-9 and, not at the ends, '-'"));
  }
  return absl::OkStatus();
}

criv1::NamespaceOption Namespaces(const RunOptions& options) {
  criv1::NamespaceOption out;
  out.set_network(options.host_network ? criv1::NODE : criv1::POD);
  out.set_pid(criv1::CONTAINER);
  return out;
}

}  // namespace

absl::StatusOr<criv1::PodSandboxConfig> ToPodConfig(
    const RunOptions& options, const std::string& uid,
    const std::string& log_directory) {
  QUOLL_RETURN_IF_ERROR(CheckName("--name", options.name));
  QUOLL_RETURN_IF_ERROR(CheckName("--namespace", options.name_space));
  if (options.host_network && !options.ports.empty()) {
    return absl::InvalidArgumentError(
        "--port and --host-network exclude each other: the pod has the host's "
        "ports already");
  }
  criv1::PodSandboxConfig out;
  criv1::PodSandboxMetadata* metadata = out.mutable_metadata();
  metadata->set_name(options.name);
  metadata->set_namespace_(options.name_space);
  metadata->set_uid(uid);
  if (!options.host_network) {
    out.set_hostname(options.name);
  }
  out.set_log_directory(log_directory);
  for (const std::string& port : options.ports) {
    QUOLL_RETURN_IF_ERROR(AddPort(port, out));
  }
  *out.mutable_linux()
       ->mutable_security_context()
       ->mutable_namespace_options() = Namespaces(options);
  return out;
}

absl::StatusOr<criv1::ContainerConfig> ToContainerConfig(
    const RunOptions& options, const std::vector<std::string>& words) {
  criv1::ContainerConfig out;
  out.mutable_metadata()->set_name(options.name);
  // As in a pod of Kubernetes: what stands on the command line are the
  // arguments of the image's entrypoint, or the command where it has none.
  for (const std::string& word : words) {
    out.add_args(word);
  }
  for (const std::string& variable : options.env) {
    QUOLL_RETURN_IF_ERROR(AddEnv(variable, out));
  }
  for (const std::string& mount : options.mounts) {
    QUOLL_RETURN_IF_ERROR(AddMount(mount, out));
  }
  out.set_log_path(absl::StrCat(options.name, ".log"));
  criv1::LinuxContainerSecurityContext* security =
      out.mutable_linux()->mutable_security_context();
  *security->mutable_namespace_options() = Namespaces(options);
  security->mutable_seccomp()->set_profile_type(
      criv1::SecurityProfile::RuntimeDefault);
  // What the kubelet hides in every container that is not privileged.
  for (const char* path :
       {"/proc/asound", "/proc/acpi", "/proc/kcore", "/proc/keys",
        "/proc/latency_stats", "/proc/timer_list", "/proc/timer_stats",
        "/proc/sched_debug", "/proc/scsi", "/sys/firmware"}) {
    security->add_masked_paths(path);
  }
  for (const char* path : {"/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys",
                           "/proc/sysrq-trigger"}) {
    security->add_readonly_paths(path);
  }
  return out;
}

}  // namespace quoll::ctl
