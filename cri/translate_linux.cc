// SPDX-License-Identifier: Apache-2.0
#include "cri/translate_linux.h"

#include <cstdint>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"

#include "os/status_macros.h"

namespace quoll::cri {
namespace {

namespace criv1 = ::runtime::v1;

// The two enums have the same values (state.proto says so).
static_assert(static_cast<int>(criv1::NODE) ==
              static_cast<int>(state::v1::NAMESPACE_NODE));
static_assert(static_cast<int>(criv1::TARGET) ==
              static_cast<int>(state::v1::NAMESPACE_TARGET));

absl::Status RefuseBelow(int64_t value, int64_t smallest,
                         absl::string_view field, absl::string_view name) {
  if (value >= smallest) {
    return absl::OkStatus();
  }
  return absl::InvalidArgumentError(absl::StrCat(
      field, ".", name, " is ", value, ": it cannot be below ", smallest));
}

absl::StatusOr<state::v1::NamespaceMode> ToMode(criv1::NamespaceMode mode,
                                                bool allow_container,
                                                bool allow_target,
                                                absl::string_view field) {
  const bool known = mode == criv1::POD || mode == criv1::NODE ||
                     (allow_container && mode == criv1::CONTAINER) ||
                     (allow_target && mode == criv1::TARGET);
  if (!known) {
    return absl::InvalidArgumentError(
        absl::StrCat(field, ": mode ",
                     criv1::NamespaceMode_IsValid(mode)
                         ? criv1::NamespaceMode_Name(mode)
                         : absl::StrCat(static_cast<int>(mode)),
                     " is not one that this namespace has"));
  }
  return static_cast<state::v1::NamespaceMode>(mode);
}

}  // namespace

absl::StatusOr<state::v1::Resources> ToResources(
    const criv1::LinuxContainerResources& in, absl::string_view field) {
  // -1 is "no limit" where the kernel knows that, 0 is "not set" everywhere.
  QUOLL_RETURN_IF_ERROR(RefuseBelow(in.cpu_period(), 0, field, "cpu_period"));
  QUOLL_RETURN_IF_ERROR(RefuseBelow(in.cpu_quota(), -1, field, "cpu_quota"));
  QUOLL_RETURN_IF_ERROR(RefuseBelow(in.cpu_shares(), 0, field, "cpu_shares"));
  QUOLL_RETURN_IF_ERROR(RefuseBelow(in.memory_limit_in_bytes(), -1, field,
                                    "memory_limit_in_bytes"));
  QUOLL_RETURN_IF_ERROR(RefuseBelow(in.memory_swap_limit_in_bytes(), -1, field,
                                    "memory_swap_limit_in_bytes"));
  if (in.oom_score_adj() < -1000 || in.oom_score_adj() > 1000) {
    return absl::InvalidArgumentError(
        absl::StrCat(field, ".oom_score_adj is ", in.oom_score_adj(),
                     ": it must be within -1000 and 1000"));
  }
  state::v1::Resources out;
  out.set_cpu_period_us(in.cpu_period());
  out.set_cpu_quota_us(in.cpu_quota());
  out.set_cpu_shares(in.cpu_shares());
  out.set_memory_limit_bytes(in.memory_limit_in_bytes());
  out.set_memory_swap_limit_bytes(in.memory_swap_limit_in_bytes());
  out.set_oom_score_adj(in.oom_score_adj());
  out.set_cpuset_cpus(in.cpuset_cpus());
  out.set_cpuset_mems(in.cpuset_mems());
  for (const criv1::HugepageLimit& limit : in.hugepage_limits()) {
    state::v1::Resources::HugepageLimit* copy = out.add_hugepage_limits();
    copy->set_page_size(limit.page_size());
    copy->set_limit_bytes(limit.limit());
  }
  *out.mutable_unified() = in.unified();
  return out;
}

void FromResources(const state::v1::Resources& in,
                   criv1::LinuxContainerResources* out) {
  out->set_cpu_period(in.cpu_period_us());
  out->set_cpu_quota(in.cpu_quota_us());
  out->set_cpu_shares(in.cpu_shares());
  out->set_memory_limit_in_bytes(in.memory_limit_bytes());
  out->set_memory_swap_limit_in_bytes(in.memory_swap_limit_bytes());
  out->set_oom_score_adj(in.oom_score_adj());
  out->set_cpuset_cpus(in.cpuset_cpus());
  out->set_cpuset_mems(in.cpuset_mems());
  for (const state::v1::Resources::HugepageLimit& limit :
       in.hugepage_limits()) {
    criv1::HugepageLimit* copy = out->add_hugepage_limits();
    copy->set_page_size(limit.page_size());
    copy->set_limit(limit.limit_bytes());
  }
  *out->mutable_unified() = in.unified();
}

absl::StatusOr<state::v1::Namespaces> ToNamespaces(
    const criv1::NamespaceOption& in, bool for_container,
    absl::string_view field) {
  // NODE is how the kubelet spells "no user namespace" explicitly; POD is the
  // zero value, so the presence of the message is what asks for one.
  if (in.has_userns_options() && in.userns_options().mode() != criv1::NODE) {
    return absl::UnimplementedError(absl::StrCat(
        field,
        ".userns_options: user namespaces for pods are not built yet; "
        "set hostUsers to true in the pod, or leave it out"));
  }
  state::v1::Namespaces out;
  QUOLL_ASSIGN_OR_RETURN(
      const state::v1::NamespaceMode network,
      ToMode(in.network(), false, false, absl::StrCat(field, ".network")));
  QUOLL_ASSIGN_OR_RETURN(
      const state::v1::NamespaceMode pid,
      ToMode(in.pid(), true, for_container, absl::StrCat(field, ".pid")));
  QUOLL_ASSIGN_OR_RETURN(
      const state::v1::NamespaceMode ipc,
      ToMode(in.ipc(), false, false, absl::StrCat(field, ".ipc")));
  out.set_network(network);
  out.set_pid(pid);
  out.set_ipc(ipc);
  if (pid == state::v1::NAMESPACE_TARGET) {
    QUOLL_RETURN_IF_ERROR(
        RequireField(in.target_id(), absl::StrCat(field, ".target_id"),
                     "PID mode TARGET needs the id of a container"));
    out.set_target_container_id(in.target_id());
  }
  return out;
}

void FromNamespaces(const state::v1::Namespaces& in,
                    criv1::NamespaceOption* out) {
  out->set_network(static_cast<criv1::NamespaceMode>(in.network()));
  out->set_pid(static_cast<criv1::NamespaceMode>(in.pid()));
  out->set_ipc(static_cast<criv1::NamespaceMode>(in.ipc()));
  out->set_target_id(in.target_container_id());
}

state::v1::SeLinux ToSeLinux(const criv1::SELinuxOption& in) {
  state::v1::SeLinux out;
  out.set_user(in.user());
  out.set_role(in.role());
  out.set_type(in.type());
  out.set_level(in.level());
  return out;
}

absl::StatusOr<state::v1::SecurityProfile> ToProfile(
    const criv1::SecurityProfile& in, absl::string_view field) {
  state::v1::SecurityProfile out;
  switch (in.profile_type()) {
    case criv1::SecurityProfile::RuntimeDefault:
      out.set_kind(state::v1::SecurityProfile::RUNTIME_DEFAULT);
      return out;
    case criv1::SecurityProfile::Unconfined:
      out.set_kind(state::v1::SecurityProfile::UNCONFINED);
      return out;
    case criv1::SecurityProfile::Localhost:
      QUOLL_RETURN_IF_ERROR(RequireField(in.localhost_ref(),
                                         absl::StrCat(field, ".localhost_ref"),
                                         "type Localhost needs a profile"));
      out.set_kind(state::v1::SecurityProfile::LOCALHOST);
      out.set_localhost_ref(in.localhost_ref());
      return out;
    default:
      return absl::InvalidArgumentError(absl::StrCat(
          field, ".profile_type: ", static_cast<int>(in.profile_type()),
          " is no profile type of CRI v1"));
  }
}

absl::StatusOr<state::v1::SecurityProfile> ToProfile(
    absl::string_view deprecated, absl::string_view field) {
  state::v1::SecurityProfile out;
  absl::string_view name = deprecated;
  if (name == "unconfined") {
    out.set_kind(state::v1::SecurityProfile::UNCONFINED);
  } else if (name == "runtime/default" || name == "docker/default") {
    out.set_kind(state::v1::SecurityProfile::RUNTIME_DEFAULT);
  } else if (absl::ConsumePrefix(&name, "localhost/") && !name.empty()) {
    out.set_kind(state::v1::SecurityProfile::LOCALHOST);
    out.set_localhost_ref(std::string(name));
  } else {
    return absl::InvalidArgumentError(absl::StrCat(
        field, ": \"", deprecated,
        "\" is none of runtime/default, docker/default, unconfined and "
        "localhost/PROFILE"));
  }
  return out;
}

absl::Status RefuseNul(absl::string_view value, absl::string_view field) {
  if (!absl::StrContains(value, '\0')) {
    return absl::OkStatus();
  }
  return absl::InvalidArgumentError(
      absl::StrCat(field, " contains a zero byte: leave it out"));
}

absl::Status RequireField(absl::string_view value, absl::string_view field,
                          absl::string_view why) {
  if (!value.empty()) {
    return absl::OkStatus();
  }
  return absl::InvalidArgumentError(absl::StrCat(field, " is empty: ", why));
}

}  // namespace quoll::cri
