// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"

#include "os/helper.h"
#include "runtime/extension.h"
#include "runtime/types.h"

namespace quoll::runtime {

// What this kernel and node can do, found once at start (DetectNode).
struct NodeFeatures {
  bool cgroup_v2 = false;  // pure v2; v1 and hybrid count as v1
  bool apparmor = false;
  bool selinux = false;
  bool seccomp = true;
  bool hugetlb = false;
  bool swap_accounting = false;
  int min_oom_score_adj = -1000;          // lowest that this daemon may set
  std::vector<std::string> capabilities;  // that the daemon holds: "CAP_CHOWN"
};
// Reads /proc and /sys below `root` ("" on a node, a directory in tests).
NodeFeatures DetectNode(const std::string& root);

// Everything that the OCI spec of one container is made from. Borrowed.
struct SpecInput {
  const SandboxRecord& sandbox;
  const ContainerRecord& container;  // effective_user resolved
  const NodeFeatures& node;
  std::string rootfs;
  std::string namespaces_dir;      // pinned namespaces of the sandbox
  std::string pid_namespace_path;  // with TARGET, or the pod's shared one
  std::string resolv_conf;  // host paths of the pod's files; "": no mount
  std::string hostname_file;
  std::string shm_dir;
  // Requested mounts with resolved host paths, parallel to spec.mounts.
  std::vector<os::HostActions::HostPath> mount_sources;
  // Requested devices, directories already expanded.
  struct Device {
    std::string container_path;
    os::HostActions::HostPath host;
    std::string permissions;
  };
  std::vector<Device> devices;
  absl::Span<const LaunchPatch> patches;
  std::string cgroups_path;
};

// The container's config.json. Pure but for reading a Localhost seccomp
// profile. InvalidArgument names the field that cannot be honoured.
absl::StatusOr<std::string> BuildOciSpec(const SpecInput& input);

// The "process" object for an exec into it: the container's own process with
// other args, with or without a terminal. DataLoss when `config_json` is not
// what BuildOciSpec made.
absl::StatusOr<std::string> BuildExecProcess(
    const std::string& config_json, const std::vector<std::string>& argv,
    bool tty);

// OK when this node can keep every limit in `resources`. BuildOciSpec calls it;
// an update must before BuildOciResources, which leaves out what cannot be
// kept.
absl::Status CheckResources(const Resources& resources,
                            const NodeFeatures& node);

// The "linux.resources" object for `resources` (only what is set).
std::string BuildOciResources(const Resources& resources,
                              const NodeFeatures& node);

}  // namespace quoll::runtime
