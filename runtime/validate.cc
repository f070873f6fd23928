// SPDX-License-Identifier: Apache-2.0
#include "runtime/validate.h"

#include <filesystem>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"

#include "os/annotate.h"
#include "os/status_macros.h"

namespace quoll::runtime {
namespace {

using state::v1::NAMESPACE_CONTAINER;
using state::v1::NAMESPACE_NODE;
using state::v1::NAMESPACE_TARGET;

// uts_namespaces(7): __NEW_UTS_LEN.
constexpr size_t kMaxHostname = 64;

absl::Status Invalid(absl::string_view subject, absl::string_view sentence) {
  return absl::InvalidArgumentError(absl::StrCat(subject, " ", sentence));
}

bool HasParentReference(absl::string_view path) {
  for (const absl::string_view part : absl::StrSplit(path, '/')) {
    if (part == "..") {
      return true;
    }
  }
  return false;
}

// Paths and words that end up in files or on mount(2)'s data page.
bool HasControlCharacter(absl::string_view text) {
  for (const char c : text) {
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) {
      return true;
    }
  }
  return false;
}

// Words of resolv.conf(5): one with a space or a newline would be read as more
// than it is.
absl::Status ValidateDns(const state::v1::Dns& dns) {
  const auto check = [](const auto& words, absl::string_view field) {
    for (const std::string& word : words) {
      if (word.empty() || HasControlCharacter(word) ||
          absl::StrContains(word, ' ')) {
        return Invalid(absl::StrCat("dns_config.", field),
                       absl::StrCat("has \"", word, "\", which is no word"));
      }
    }
    return absl::OkStatus();
  };
  QUOLL_RETURN_IF_ERROR(check(dns.servers(), "servers"));
  QUOLL_RETURN_IF_ERROR(check(dns.searches(), "searches"));
  return check(dns.options(), "options");
}

absl::Status ValidateSysctls(const SandboxSpec& spec) {
  for (const auto& [name, value] : spec.sysctls()) {
    const std::string subject = absl::StrCat("sysctl \"", name, "\"");
    const absl::string_view owner = NamespaceOfSysctl(name);
    if (owner.empty()) {
      return Invalid(subject,
                     "belongs to no namespace of a pod; set it on the node");
    }
    if ((owner == "net" || owner == "uts") &&
        spec.namespaces().network() == NAMESPACE_NODE) {
      return Invalid(subject, "cannot be set in a pod with host network");
    }
    if (owner == "ipc" && spec.namespaces().ipc() == NAMESPACE_NODE) {
      return Invalid(subject, "cannot be set in a pod with host IPC");
    }
    if (HasControlCharacter(value)) {
      return Invalid(subject, "has a value with a control character");
    }
  }
  return absl::OkStatus();
}

absl::Status ValidatePorts(const SandboxSpec& spec) {
  for (const state::v1::PortMapping& port : spec.port_mappings()) {
    if (port.host_port() == 0) {
      continue;
    }
    if (port.host_port() < 0 || port.host_port() > 65535 ||
        port.container_port() < 1 || port.container_port() > 65535) {
      return Invalid(
          "port_mappings",
          absl::StrCat("has port ", port.container_port(), " with host port ",
                       port.host_port(), "; ports are 1 to 65535"));
    }
  }
  return absl::OkStatus();
}

absl::Status ValidateNamespaces(const state::v1::Namespaces& namespaces) {
  for (const auto mode : {namespaces.network(), namespaces.ipc()}) {
    if (mode == NAMESPACE_CONTAINER || mode == NAMESPACE_TARGET) {
      return Invalid("namespace_options",
                     "network and ipc can be POD or NODE only");
    }
  }
  return absl::OkStatus();
}

}  // namespace

bool IsBelow(absl::string_view path, absl::string_view directory) {
  directory = absl::StripSuffix(directory, "/");
  return absl::ConsumePrefix(&path, directory) &&
         (path.empty() || path.front() == '/');
}

absl::string_view NamespaceOfSysctl(absl::string_view name) {
  // namespaces(7), ipc_namespaces(7), uts_namespaces(7). Both spellings of
  // sysctl(8) are known: dots and slashes.
  const std::string dotted = [name] {
    std::string text(name);
    if (const size_t first = text.find_first_of("./");
        first != std::string::npos && text[first] == '/') {
      for (char& c : text) {
        c = c == '/' ? '.' : c;
      }
    }
    return text;
  }();
  if (absl::StartsWith(dotted, "net.")) {
    return "net";
  }
  if (absl::StartsWith(dotted, "fs.mqueue.") ||
      absl::StartsWith(dotted, "kernel.shm") ||
      absl::StartsWith(dotted, "kernel.msg") || dotted == "kernel.sem") {
    return "ipc";
  }
  if (dotted == "kernel.hostname" || dotted == "kernel.domainname") {
    return "uts";
  }
  return "";
}

absl::StatusOr<std::string> CgroupParent(absl::string_view given) {
  if (absl::EndsWith(given, ".slice") && !absl::StrContains(given, '/')) {
    return Invalid("cgroup_parent",
                   absl::StrCat("\"", given,
                                "\" is a systemd slice, but this node uses the "
                                "cgroupfs driver; set the kubelet's "
                                "cgroupDriver to cgroupfs"));
  }
  if (HasParentReference(given) || HasControlCharacter(given)) {
    return Invalid("cgroup_parent",
                   absl::StrCat("\"", given, "\" is no path of a cgroup"));
  }
  return absl::StrCat("/",
                      absl::StripSuffix(absl::StripPrefix(given, "/"), "/"));
}

absl::StatusOr<std::string> LogPath(absl::string_view log_directory,
                                    absl::string_view log_path) {
  if (log_directory.empty() || log_path.empty()) {
    return std::string();
  }
  if (log_path.front() == '/' || HasParentReference(log_path) ||
      HasControlCharacter(log_path)) {
    return Invalid("log_path",
                   absl::StrCat("\"", log_path,
                                "\" must be a relative path that stays in the "
                                "sandbox's log_directory"));
  }
  return absl::StrCat(absl::StripSuffix(log_directory, "/"), "/", log_path);
}

absl::Status ValidateSandbox(const SandboxSpec& spec) {
  if (spec.name().empty()) {
    return Invalid("metadata.name", "is empty; a sandbox needs a name");
  }
  if (spec.uid().empty()) {
    return Invalid("metadata.uid", "is empty; a sandbox needs a uid");
  }
  if (spec.namespace_().empty()) {
    return Invalid("metadata.namespace", "is empty; a sandbox needs one");
  }
  if (spec.hostname().size() > kMaxHostname ||
      HasControlCharacter(spec.hostname())) {
    return Invalid("hostname", "must be at most 64 plain characters");
  }
  if (!spec.log_directory().empty() &&
      (spec.log_directory().front() != '/' ||
       HasParentReference(spec.log_directory()))) {
    return Invalid("log_directory", "must be an absolute path without \"..\"");
  }
  if (spec.namespaces().pid() == NAMESPACE_TARGET) {
    return Invalid("namespace_options",
                   "pid TARGET is for containers, not for a sandbox");
  }
  QUOLL_RETURN_IF_ERROR(ValidateNamespaces(spec.namespaces()));
  QUOLL_RETURN_IF_ERROR(ValidateDns(spec.dns()));
  QUOLL_RETURN_IF_ERROR(ValidatePorts(spec));
  QUOLL_RETURN_IF_ERROR(ValidateSysctls(spec));
  return CgroupParent(spec.cgroup_parent()).status();
}

absl::Status ValidateContainer(const ContainerSpec& spec,
                               const SandboxRecord& sandbox) {
  if (spec.name().empty()) {
    return Invalid("metadata.name", "is empty; a container needs a name");
  }
  if (spec.security().privileged() && !sandbox.spec().privileged()) {
    return Invalid("security_context.privileged",
                   "needs a sandbox that is privileged too");
  }
  if (spec.namespaces().pid() == NAMESPACE_TARGET &&
      spec.namespaces().target_container_id().empty()) {
    return Invalid("namespace_options",
                   "pid TARGET needs the id of a target container");
  }
  for (const state::v1::MountRequest& mount : spec.mounts()) {
    if (mount.container_path().empty()) {
      return Invalid("mounts",
                     absl::StrCat("has host_path \"", mount.host_path(),
                                  "\" without a container_path"));
    }
    if (mount.host_path().empty() || mount.host_path().front() != '/') {
      return Invalid(absl::StrCat("mount at ", mount.container_path()),
                     "needs an absolute host_path");
    }
  }
  for (const state::v1::DeviceRequest& device : spec.devices()) {
    if (device.host_path().empty() || device.host_path().front() != '/') {
      return Invalid(absl::StrCat("device ", device.container_path()),
                     "needs an absolute host_path");
    }
    if (device.permissions().find_first_not_of("rwm") != std::string::npos) {
      return Invalid(absl::StrCat("device ", device.host_path()),
                     absl::StrCat("has permissions \"", device.permissions(),
                                  "\"; they are made of r, w and m"));
    }
  }
  return LogPath(sandbox.spec().log_directory(), spec.log_path()).status();
}

}  // namespace quoll::runtime
