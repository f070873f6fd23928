// SPDX-License-Identifier: Apache-2.0
#include "runtime/launch/oci_spec.h"

#include <string>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"

#include "os/annotate.h"
#include "os/status_macros.h"
#include "runtime/launch/oci_parts.h"

#include <nlohmann/json.hpp>

namespace quoll::runtime {
namespace {

using nlohmann::json;

// What runc 1.1 and crun 1.8 both read.
constexpr char kOciVersion[] = "1.0.2";

absl::StatusOr<std::string> Dump(const json& value) {
  try {
    return value.dump();
  } catch (const json::exception& error) {
    // Every field from outside was checked; a path of our own, say, was not.
    return absl::InvalidArgumentError(absl::StrCat("OCI spec: ", error.what()));
  }
}

// Labels mean nothing while SELinux is off, and the kubelet sends them anyway.
// What a request leaves out is what container-selinux's policy gives every
// container.
void AddSeLinux(const SpecInput& input, json& spec) {
  const state::v1::Security& security = input.container.spec().security();
  if (!input.node.selinux || !security.has_selinux()) {
    return;
  }
  const state::v1::SeLinux& label = security.selinux();
  const auto part = [](const std::string& asked, const char* usual) {
    return asked.empty() ? std::string(usual) : asked;
  };
  const std::string level = part(label.level(), "s0");
  spec["process"]["selinuxLabel"] = absl::StrCat(
      part(label.user(), "system_u"), ":", part(label.role(), "system_r"), ":",
      part(label.type(), "container_t"), ":", level);
  spec["linux"]["mountLabel"] =
      absl::StrCat("system_u:object_r:container_file_t:", level);
}

// For hooks, CDI and people who look at a node; the names that other runtimes
// use. The pod's own annotations stay out: OCI runtimes act on some
// ("run.oci.*"), and a pod is not to reach those.
json AnnotationsJson(const SpecInput& input) {
  const SandboxSpec& sandbox = input.sandbox.spec();
  const ContainerSpec& container = input.container.spec();
  json out = {
      {"io.kubernetes.cri.container-type", "container"},
      {"io.kubernetes.cri.container-name", container.name()},
      {"io.kubernetes.cri.image-name", container.user_image()},
      {"io.kubernetes.cri.sandbox-id", input.sandbox.id()},
      {"io.kubernetes.cri.sandbox-name", sandbox.name()},
      {"io.kubernetes.cri.sandbox-namespace", sandbox.namespace_()},
      {"io.kubernetes.cri.sandbox-uid", sandbox.uid()},
  };
  for (const LaunchPatch& patch : input.patches) {
    for (const auto& [name, value] : patch.annotations) {
      out[name] = value;
    }
  }
  return out;
}

absl::Status CheckInput(const SpecInput& input) {
  if (!absl::StartsWith(input.rootfs, "/")) {
    return absl::InternalError(absl::StrCat("OCI spec: root file system \"",
                                            input.rootfs,
                                            "\" is not an absolute path"));
  }
  if (input.container.effective_user().who_case() != state::v1::User::kUid) {
    return absl::InternalError("OCI spec: the user was not resolved");
  }
  if (input.container.spec().security().privileged() &&
      !input.sandbox.spec().privileged()) {
    return absl::InvalidArgumentError(
        "a privileged container needs a privileged sandbox; set privileged in "
        "the sandbox's security context too");
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::string> BuildOciSpec(const SpecInput& input) {
  QUOLL_RETURN_IF_ERROR(CheckInput(input));
  json spec = {
      {"ociVersion", kOciVersion},
      {"root",
       {{"path", input.rootfs},
        {"readonly", input.container.spec().security().readonly_rootfs()}}},
      {"annotations", AnnotationsJson(input)}};
  QUOLL_ASSIGN_OR_RETURN(spec["process"], ProcessJson(input));
  QUOLL_ASSIGN_OR_RETURN(MountsPart mounts, MountsJson(input));
  spec["mounts"] = std::move(mounts.mounts);
  QUOLL_ASSIGN_OR_RETURN(spec["linux"], LinuxJson(input));
  if (!mounts.rootfs_propagation.empty()) {
    spec["linux"]["rootfsPropagation"] = mounts.rootfs_propagation;
  }
  AddSeLinux(input, spec);
  return Dump(spec);
}

absl::StatusOr<std::string> BuildExecProcess(
    const std::string& config_json, const std::vector<std::string>& argv,
    bool tty) {
  if (argv.empty() || argv[0].empty()) {
    return absl::InvalidArgumentError("exec: no command is given");
  }
  for (const std::string& arg : argv) {
    QUOLL_RETURN_IF_ERROR(CheckText("exec: an argument of the command", arg));
  }
  const json spec = json::parse(config_json, nullptr, false);
  if (!spec.is_object() || !spec.contains("process") ||
      !spec["process"].is_object()) {
    return absl::DataLossError(
        "exec: the container's config.json has no process; it was damaged "
        "after the container was created");
  }
  json process = spec["process"];
  process["args"] = argv;
  process["terminal"] = tty;
  process.erase("consoleSize");
  json& env = process["env"];
  if (!env.is_array()) {
    env = json::array();
  }
  bool has_term = false;
  for (const json& entry : env) {
    has_term |= entry.is_string() &&
                absl::StartsWith(entry.get_ref<const std::string&>(), "TERM=");
  }
  if (tty && !has_term) {
    env.push_back("TERM=xterm");
  }
  return Dump(process);
}

}  // namespace quoll::runtime
