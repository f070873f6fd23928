// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/algorithm/container.h"
#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"

#include "os/files.h"
#include "os/mount.h"
#include "runtime/launch/capabilities.h"
#include "runtime/launch/cgroup_tree.h"
#include "runtime/launch/oci_spec.h"

namespace quoll::runtime {
namespace {

// A file that is not there is a feature that is not there.
std::string ReadOrEmpty(const std::string& path) {
  return os::ReadFile(path).value_or("");
}

// "Name:\tvalue" of /proc/PID/status; "" without such a line.
std::string StatusField(const std::string& status, absl::string_view name) {
  for (absl::string_view line : absl::StrSplit(status, '\n')) {
    if (absl::ConsumePrefix(&line, name) && absl::ConsumePrefix(&line, ":")) {
      return std::string(absl::StripAsciiWhitespace(line));
    }
  }
  return "";
}

uint64_t HexField(const std::string& status, absl::string_view name) {
  uint64_t value = 0;
  return absl::SimpleHexAtoi(StatusField(status, name), &value) ? value : 0;
}

// Where a v1 controller is mounted; "" when it is not.
std::string V1MountPoint(const std::vector<os::MountInfo>& mounts,
                         absl::string_view controller) {
  for (const os::MountInfo& mount : mounts) {
    const std::vector<absl::string_view> words =
        absl::StrSplit(mount.super_options, ',');
    if (mount.fstype == "cgroup" && absl::c_linear_search(words, controller)) {
      return mount.mount_point;
    }
  }
  return "";
}

std::string V2MountPoint(const std::vector<os::MountInfo>& mounts) {
  for (const os::MountInfo& mount : mounts) {
    if (mount.fstype == "cgroup2") {
      return mount.mount_point;
    }
  }
  return "";
}

// memory.swap.max is in every cgroup but the root one. Our own, or when that
// is the root, any that exists.
bool V2SwapAccounting(const std::string& root, const std::string& mount) {
  std::string own;
  for (absl::string_view line :
       absl::StrSplit(ReadOrEmpty(root + "/proc/self/cgroup"), '\n')) {
    if (absl::ConsumePrefix(&line, "0::")) {
      own = std::string(line);
    }
  }
  if (os::Exists(absl::StrCat(root, mount, own, "/memory.swap.max"))) {
    return true;
  }
  const auto children = os::ListDirectory(root + mount);
  return children.ok() && absl::c_any_of(*children, [&](const auto& child) {
           return os::Exists(
               absl::StrCat(root, mount, "/", child, "/memory.swap.max"));
         });
}

void DetectCgroups(const std::string& root, NodeFeatures& node) {
  const std::string text = ReadOrEmpty(root + "/proc/self/mountinfo");
  const std::vector<os::MountInfo> mounts = os::ParseMountInfo(text);
  const absl::StatusOr<CgroupTree> tree = CgroupTree::Detect(text);
  node.cgroup_v2 = tree.ok() && tree->is_v2();
  if (node.cgroup_v2) {
    const std::string mount = V2MountPoint(mounts);
    const std::string controllers =
        ReadOrEmpty(absl::StrCat(root, mount, "/cgroup.controllers"));
    const std::vector<absl::string_view> names =
        absl::StrSplit(absl::StripAsciiWhitespace(controllers), ' ');
    node.hugetlb = absl::c_linear_search(names, "hugetlb");
    node.swap_accounting = V2SwapAccounting(root, mount);
    return;
  }
  node.hugetlb = !V1MountPoint(mounts, "hugetlb").empty();
  const std::string memory = V1MountPoint(mounts, "memory");
  node.swap_accounting =
      !memory.empty() &&
      os::Exists(absl::StrCat(root, memory, "/memory.memsw.limit_in_bytes"));
}

}  // namespace

NodeFeatures DetectNode(const std::string& root) {
  NodeFeatures node;
  DetectCgroups(root, node);
  node.apparmor = absl::StartsWith(
      ReadOrEmpty(root + "/sys/module/apparmor/parameters/enabled"), "Y");
  // selinuxfs is mounted by whoever loads the policy: without it no label
  // means anything.
  node.selinux = os::Exists(root + "/sys/fs/selinux/enforce");

  const std::string status = ReadOrEmpty(root + "/proc/self/status");
  // proc_pid_status(5): the line is there when the kernel has CONFIG_SECCOMP.
  node.seccomp = !StatusField(status, "Seccomp").empty();
  // A container's init gets its capabilities from the OCI runtime, which is
  // our child: nothing outside our bounding set survives that exec.
  node.capabilities = CapabilitiesOfMask(HexField(status, "CapEff") &
                                         HexField(status, "CapBnd"));
  int own = 0;
  if (!absl::c_linear_search(node.capabilities, "CAP_SYS_RESOURCE") &&
      absl::SimpleAtoi(ReadOrEmpty(root + "/proc/self/oom_score_adj"), &own)) {
    node.min_oom_score_adj = own;
  }
  return node;
}

}  // namespace quoll::runtime
