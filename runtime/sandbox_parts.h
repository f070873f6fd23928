// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"

#include "runtime/types.h"

// What a sandbox has of its own, by its spec. Making it and taking it away read
// the same answers here.
namespace quoll::runtime {

// Local work in a helper process: normally a millisecond.
inline constexpr absl::Duration kNamespaceTimeout = absl::Seconds(20);
inline constexpr absl::Duration kMountTimeout = absl::Seconds(30);
// For killed processes to leave a cgroup.
inline constexpr absl::Duration kCgroupTimeout = absl::Seconds(10);

// Host network goes with the host's UTS namespace: one hostname, one address.
inline bool HasOwnNetwork(const SandboxSpec& spec) {
  return spec.namespaces().network() != state::v1::NAMESPACE_NODE;
}
inline bool HasOwnIpc(const SandboxSpec& spec) {
  return spec.namespaces().ipc() != state::v1::NAMESPACE_NODE;
}
// One PID namespace for all containers; quoll-pause is its PID 1.
inline bool HasSharedPid(const SandboxSpec& spec) {
  return spec.namespaces().pid() == state::v1::NAMESPACE_POD;
}

// A leaf of the pod's cgroup: on v2 a cgroup that has children with controllers
// cannot hold processes itself (cgroups(7), "no internal processes").
inline std::string PauseCgroup(const SandboxRecord& record) {
  return absl::StrCat(record.cgroup_parent(), "/", record.id());
}

}  // namespace quoll::runtime
