// SPDX-License-Identifier: Apache-2.0
#include "cri/translate_container.h"

#include <algorithm>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/string_view.h"

#include "cri/signals.h"
#include "cri/translate_linux.h"
#include "os/status_macros.h"

namespace quoll::cri {
namespace {

namespace criv1 = ::runtime::v1;

constexpr absl::string_view kSecurity = "config.linux.security_context";

// The two enums have the same values (state.proto says so).
static_assert(static_cast<int>(criv1::PROPAGATION_HOST_TO_CONTAINER) ==
              static_cast<int>(state::v1::MountRequest::HOST_TO_CONTAINER));
static_assert(static_cast<int>(criv1::PROPAGATION_BIDIRECTIONAL) ==
              static_cast<int>(state::v1::MountRequest::BIDIRECTIONAL));

absl::Status RequireAbsolute(absl::string_view path, absl::string_view field) {
  if (absl::StartsWith(path, "/")) {
    return RefuseNul(path, field);
  }
  return absl::InvalidArgumentError(
      absl::StrCat(field, " \"", path, "\" must be an absolute path"));
}

// A read-only mount that keeps what is mounted below it writable would be a
// false promise, so the API allows the recursive kind only where it can hold.
absl::Status CheckRecursiveReadonly(const criv1::Mount& mount,
                                    absl::string_view field) {
  if (!mount.recursive_read_only()) {
    return absl::OkStatus();
  }
  if (!mount.readonly() || mount.propagation() != criv1::PROPAGATION_PRIVATE) {
    return absl::InvalidArgumentError(
        absl::StrCat(field,
                     ".recursive_read_only needs readonly and private "
                     "propagation"));
  }
  return absl::OkStatus();
}

absl::Status AddMount(const criv1::Mount& in, int index,
                      runtime::ContainerSpec& spec) {
  const std::string field = absl::StrCat("config.mounts[", index, "]");
  QUOLL_RETURN_IF_ERROR(
      RequireAbsolute(in.container_path(), field + ".container_path"));
  if (in.has_image() && !in.image().image().empty()) {
    return absl::UnimplementedError(
        absl::StrCat(field, ": image volumes are not built yet (image ",
                     in.image().image(), " at ", in.container_path(), ")"));
  }
  if (in.uidmappings_size() + in.gidmappings_size() > 0) {
    return absl::UnimplementedError(
        absl::StrCat(field, ": mounts with id mappings are not built yet (",
                     in.container_path(), ")"));
  }
  QUOLL_RETURN_IF_ERROR(RequireAbsolute(in.host_path(), field + ".host_path"));
  QUOLL_RETURN_IF_ERROR(CheckRecursiveReadonly(in, field));
  if (!criv1::MountPropagation_IsValid(in.propagation())) {
    return absl::InvalidArgumentError(absl::StrCat(
        field, ".propagation: ", static_cast<int>(in.propagation()),
        " is no propagation of CRI v1"));
  }
  state::v1::MountRequest* out = spec.add_mounts();
  for (const std::string& option : in.mount_options()) {
    if (option != "noexec" && option != "nodev" && option != "nosuid") {
      return absl::InvalidArgumentError(
          absl::StrCat(field, ".mount_options: \"", option,
                       "\" is none of noexec, nodev and nosuid"));
    }
    out->add_options(option);
  }
  out->set_container_path(in.container_path());
  out->set_host_path(in.host_path());
  out->set_readonly(in.readonly());
  out->set_selinux_relabel(in.selinux_relabel());
  out->set_propagation(
      static_cast<state::v1::MountRequest::Propagation>(in.propagation()));
  out->set_recursive_readonly(in.recursive_read_only());
  return absl::OkStatus();
}

absl::Status AddDevice(const criv1::Device& in, int index,
                       runtime::ContainerSpec& spec) {
  const std::string field = absl::StrCat("config.devices[", index, "]");
  QUOLL_RETURN_IF_ERROR(RequireAbsolute(in.host_path(), field + ".host_path"));
  const std::string& target =
      in.container_path().empty() ? in.host_path() : in.container_path();
  QUOLL_RETURN_IF_ERROR(RequireAbsolute(target, field + ".container_path"));
  if (in.permissions().find_first_not_of("rwm") != std::string::npos) {
    return absl::InvalidArgumentError(
        absl::StrCat(field, ".permissions \"", in.permissions(),
                     "\": only the letters r, w and m are known"));
  }
  state::v1::DeviceRequest* out = spec.add_devices();
  out->set_host_path(in.host_path());
  out->set_container_path(target);
  out->set_permissions(in.permissions().empty() ? "rwm" : in.permissions());
  return absl::OkStatus();
}

absl::Status AddEnv(const criv1::KeyValue& in, int index,
                    runtime::ContainerSpec& spec) {
  // execve(2) takes "NAME=value" up to the first zero byte. The value is not
  // repeated in the error: it may be a secret.
  const std::string field = absl::StrCat("config.envs[", index, "]");
  if (in.key().empty() || absl::StrContains(in.key(), '=')) {
    return absl::InvalidArgumentError(absl::StrCat(
        field, ".key \"", in.key(), "\" must be a name without '='"));
  }
  QUOLL_RETURN_IF_ERROR(RefuseNul(in.key(), field + ".key"));
  QUOLL_RETURN_IF_ERROR(
      RefuseNul(in.value(), absl::StrCat(field, ".value of ", in.key())));
  state::v1::EnvVar* out = spec.add_env();
  out->set_name(in.key());
  out->set_value(in.value());
  return absl::OkStatus();
}

absl::Status CheckId(int64_t id, absl::string_view field) {
  // 2^32 - 1 means "no change" to chown(2) and setresuid(2).
  if (id >= 0 && id < int64_t{0xffffffff}) {
    return absl::OkStatus();
  }
  return absl::InvalidArgumentError(
      absl::StrCat(kSecurity, ".", field, " is ", id,
                   ": it must be within 0 and 4294967294"));
}

absl::Status AddUser(const criv1::LinuxContainerSecurityContext& in,
                     state::v1::Security& security) {
  const bool has_name = !in.run_as_username().empty();
  if (in.has_run_as_user() && has_name) {
    return absl::InvalidArgumentError(
        absl::StrCat(kSecurity,
                     ": run_as_user and run_as_username exclude "
                     "each other"));
  }
  if (in.has_run_as_group() && !in.has_run_as_user() && !has_name) {
    return absl::InvalidArgumentError(absl::StrCat(
        kSecurity, ".run_as_group needs run_as_user or run_as_username"));
  }
  state::v1::User user;
  if (in.has_run_as_user()) {
    QUOLL_RETURN_IF_ERROR(CheckId(in.run_as_user().value(), "run_as_user"));
    user.set_uid(in.run_as_user().value());
  } else if (has_name) {
    user.set_name(in.run_as_username());
  }
  if (in.has_run_as_group()) {
    QUOLL_RETURN_IF_ERROR(CheckId(in.run_as_group().value(), "run_as_group"));
    user.set_has_gid(true);
    user.set_gid(in.run_as_group().value());
  }
  for (const int64_t group : in.supplemental_groups()) {
    QUOLL_RETURN_IF_ERROR(CheckId(group, "supplemental_groups"));
    user.add_supplemental_groups(group);
  }
  if (!criv1::SupplementalGroupsPolicy_IsValid(
          in.supplemental_groups_policy())) {
    return absl::InvalidArgumentError(
        absl::StrCat(kSecurity, ".supplemental_groups_policy: ",
                     static_cast<int>(in.supplemental_groups_policy()),
                     " is none of Merge and Strict"));
  }
  user.set_strict_supplemental_groups(in.supplemental_groups_policy() ==
                                      criv1::Strict);
  *security.mutable_user() = std::move(user);
  return absl::OkStatus();
}

// The new field wins; the deprecated string is what older kubelets send.
absl::Status AddProfiles(const criv1::LinuxContainerSecurityContext& in,
                         state::v1::Security& security) {
  const std::string seccomp = absl::StrCat(kSecurity, ".seccomp");
  if (in.has_seccomp()) {
    QUOLL_ASSIGN_OR_RETURN(*security.mutable_seccomp(),
                           ToProfile(in.seccomp(), seccomp));
  } else if (!in.seccomp_profile_path().empty()) {
    QUOLL_ASSIGN_OR_RETURN(
        *security.mutable_seccomp(),
        ToProfile(in.seccomp_profile_path(), seccomp + "_profile_path"));
  }
  if (security.seccomp().kind() == state::v1::SecurityProfile::LOCALHOST) {
    QUOLL_RETURN_IF_ERROR(RequireAbsolute(security.seccomp().localhost_ref(),
                                          seccomp + ".localhost_ref"));
  }
  const std::string apparmor = absl::StrCat(kSecurity, ".apparmor");
  if (in.has_apparmor()) {
    QUOLL_ASSIGN_OR_RETURN(*security.mutable_apparmor(),
                           ToProfile(in.apparmor(), apparmor));
  } else if (!in.apparmor_profile().empty()) {
    QUOLL_ASSIGN_OR_RETURN(
        *security.mutable_apparmor(),
        ToProfile(in.apparmor_profile(), apparmor + "_profile"));
  }
  return absl::OkStatus();
}

absl::Status AddSecurity(const criv1::LinuxContainerSecurityContext& in,
                         runtime::ContainerSpec& spec) {
  QUOLL_ASSIGN_OR_RETURN(
      *spec.mutable_namespaces(),
      ToNamespaces(in.namespace_options(), /*for_container=*/true,
                   absl::StrCat(kSecurity, ".namespace_options")));
  state::v1::Security& security = *spec.mutable_security();
  security.set_privileged(in.privileged());
  security.set_readonly_rootfs(in.readonly_rootfs());
  security.set_no_new_privs(in.no_new_privs());
  *security.mutable_add_capabilities() = in.capabilities().add_capabilities();
  *security.mutable_drop_capabilities() = in.capabilities().drop_capabilities();
  *security.mutable_ambient_capabilities() =
      in.capabilities().add_ambient_capabilities();
  *security.mutable_masked_paths() = in.masked_paths();
  *security.mutable_readonly_paths() = in.readonly_paths();
  if (in.has_selinux_options()) {
    *security.mutable_selinux() = ToSeLinux(in.selinux_options());
  }
  // A username alone is a request too; without any of these fields the image's
  // USER is what counts, and the user stays absent.
  const bool asks_for_user = in.has_run_as_user() || in.has_run_as_group() ||
                             !in.run_as_username().empty() ||
                             in.supplemental_groups_size() > 0 ||
                             in.supplemental_groups_policy() != criv1::Merge;
  if (asks_for_user) {
    QUOLL_RETURN_IF_ERROR(AddUser(in, security));
  }
  return AddProfiles(in, security);
}

absl::Status CheckLogPath(const std::string& path) {
  const std::vector<absl::string_view> parts = absl::StrSplit(path, '/');
  if (!absl::StartsWith(path, "/") &&
      std::find(parts.begin(), parts.end(), "..") == parts.end()) {
    return RefuseNul(path, "config.log_path");
  }
  return absl::InvalidArgumentError(
      absl::StrCat("config.log_path \"", path,
                   "\" must be a relative path that stays inside the sandbox's "
                   "log_directory"));
}

}  // namespace

absl::StatusOr<runtime::ContainerSpec> ToContainerSpec(
    const criv1::ContainerConfig& config) {
  QUOLL_RETURN_IF_ERROR(RequireField(
      config.metadata().name(), "config.metadata.name",
      "a container is told apart by its sandbox, name and attempt"));
  QUOLL_RETURN_IF_ERROR(RequireField(config.image().image(),
                                     "config.image.image",
                                     "a container needs an image"));
  if (config.cdi_devices_size() > 0) {
    return absl::UnimplementedError(
        absl::StrCat("config.CDI_devices: CDI is not built yet (device ",
                     config.cdi_devices(0).name(), ")"));
  }
  QUOLL_RETURN_IF_ERROR(CheckLogPath(config.log_path()));
  runtime::ContainerSpec spec;
  spec.set_name(config.metadata().name());
  spec.set_attempt(config.metadata().attempt());
  // The kubelet names the image by id here and keeps the pod's own words apart.
  spec.set_user_image(config.image().user_specified_image().empty()
                          ? config.image().image()
                          : config.image().user_specified_image());
  for (const std::string& word : config.command()) {
    QUOLL_RETURN_IF_ERROR(RefuseNul(word, "config.command"));
    spec.add_command(word);
  }
  for (const std::string& word : config.args()) {
    QUOLL_RETURN_IF_ERROR(RefuseNul(word, "config.args"));
    spec.add_args(word);
  }
  if (!config.working_dir().empty()) {
    QUOLL_RETURN_IF_ERROR(
        RequireAbsolute(config.working_dir(), "config.working_dir"));
    spec.set_working_dir(config.working_dir());
  }
  for (int i = 0; i < config.envs_size(); ++i) {
    QUOLL_RETURN_IF_ERROR(AddEnv(config.envs(i), i, spec));
  }
  for (int i = 0; i < config.mounts_size(); ++i) {
    QUOLL_RETURN_IF_ERROR(AddMount(config.mounts(i), i, spec));
  }
  for (int i = 0; i < config.devices_size(); ++i) {
    QUOLL_RETURN_IF_ERROR(AddDevice(config.devices(i), i, spec));
  }
  *spec.mutable_labels() = config.labels();
  *spec.mutable_annotations() = config.annotations();
  spec.set_log_path(config.log_path());
  spec.set_stdin(config.stdin());
  spec.set_stdin_once(config.stdin_once());
  spec.set_tty(config.tty());
  QUOLL_ASSIGN_OR_RETURN(
      *spec.mutable_resources(),
      ToResources(config.linux().resources(), "config.linux.resources"));
  QUOLL_RETURN_IF_ERROR(AddSecurity(config.linux().security_context(), spec));
  QUOLL_ASSIGN_OR_RETURN(const int stop_signal,
                         SignalNumber(config.stop_signal()));
  spec.set_stop_signal(stop_signal);
  return spec;
}

}  // namespace quoll::cri
