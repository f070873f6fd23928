// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cstdint>
#include <string>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"

#include "os/status_macros.h"
#include "runtime/launch/oci_parts.h"

namespace quoll::runtime {
namespace {

using nlohmann::json;

// The kernel's own bounds of cpu.shares. It clamps; runc takes the difference
// between what it wrote and what it reads for an error.
constexpr int64_t kMinShares = 2;
constexpr int64_t kMaxShares = 262144;

json CpuJson(const Resources& resources) {
  json cpu = json::object();
  if (resources.cpu_shares() != 0) {
    cpu["shares"] = std::clamp(resources.cpu_shares(), kMinShares, kMaxShares);
  }
  if (resources.cpu_quota_us() != 0) {
    cpu["quota"] = resources.cpu_quota_us();
  }
  if (resources.cpu_period_us() != 0) {
    cpu["period"] = resources.cpu_period_us();
  }
  if (!resources.cpuset_cpus().empty()) {
    cpu["cpus"] = resources.cpuset_cpus();
  }
  if (!resources.cpuset_mems().empty()) {
    cpu["mems"] = resources.cpuset_mems();
  }
  return cpu;
}

// "swap" is memory and swap together, in OCI as in CRI, so the memory limit
// there means: no swap.
json MemoryJson(const Resources& resources, const NodeFeatures& node) {
  json memory = json::object();
  const int64_t limit = resources.memory_limit_bytes();
  const int64_t swap = resources.memory_swap_limit_bytes();
  if (limit != 0) {
    memory["limit"] = limit;
  }
  if (node.swap_accounting && (limit != 0 || swap != 0)) {
    memory["swap"] = swap != 0 ? swap : limit;
  }
  return memory;
}

absl::Status NotBelow(int64_t value, int64_t least, absl::string_view name) {
  return value >= least ? absl::OkStatus()
                        : absl::InvalidArgumentError(absl::StrCat(
                              name, " is ", value, ", less than ", least));
}

absl::Status CheckMemory(const Resources& resources, const NodeFeatures& node) {
  const int64_t limit = resources.memory_limit_bytes();
  const int64_t swap = resources.memory_swap_limit_bytes();
  QUOLL_RETURN_IF_ERROR(NotBelow(limit, -1, "memory_limit_in_bytes"));
  QUOLL_RETURN_IF_ERROR(NotBelow(swap, -1, "memory_swap_limit_in_bytes"));
  if (swap > 0 && limit > 0 && swap < limit) {
    return absl::InvalidArgumentError(absl::StrCat(
        "memory_swap_limit_in_bytes is ", swap, ", less than the memory limit ",
        limit, "; it counts memory and swap together"));
  }
  if (swap > 0 && swap != limit && !node.swap_accounting) {
    return absl::FailedPreconditionError(
        "memory_swap_limit_in_bytes cannot be kept: this kernel does not "
        "account for swap; boot it with swapaccount=1");
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status CheckResources(const Resources& resources,
                            const NodeFeatures& node) {
  QUOLL_RETURN_IF_ERROR(NotBelow(resources.cpu_shares(), 0, "cpu_shares"));
  QUOLL_RETURN_IF_ERROR(NotBelow(resources.cpu_period_us(), 0, "cpu_period"));
  QUOLL_RETURN_IF_ERROR(NotBelow(resources.cpu_quota_us(), -1, "cpu_quota"));
  QUOLL_RETURN_IF_ERROR(CheckText("cpuset_cpus", resources.cpuset_cpus()));
  QUOLL_RETURN_IF_ERROR(CheckText("cpuset_mems", resources.cpuset_mems()));
  QUOLL_RETURN_IF_ERROR(CheckMemory(resources, node));
  for (const Resources::HugepageLimit& huge : resources.hugepage_limits()) {
    QUOLL_RETURN_IF_ERROR(CheckText("page_size", huge.page_size()));
    if (huge.page_size().empty() || absl::StrContains(huge.page_size(), '/')) {
      return absl::InvalidArgumentError(
          absl::StrCat("hugepage_limits has page_size \"", huge.page_size(),
                       "\"; write it like 2MB"));
    }
    if (huge.limit_bytes() != 0 && !node.hugetlb) {
      return absl::FailedPreconditionError(absl::StrCat(
          "hugepage limit for ", huge.page_size(),
          " cannot be kept: the hugetlb cgroup controller is missing"));
    }
  }
  if (!resources.unified().empty() && !node.cgroup_v2) {
    return absl::InvalidArgumentError(
        absl::StrCat("unified resource ", resources.unified().begin()->first,
                     " needs cgroup v2, and this node has v1"));
  }
  for (const auto& [file, value] : resources.unified()) {
    QUOLL_RETURN_IF_ERROR(CheckText("unified", file));
    QUOLL_RETURN_IF_ERROR(CheckText(file, value));
    if (file.empty() || absl::StrContains(file, '/')) {
      return absl::InvalidArgumentError(absl::StrCat(
          "unified resource \"", file, "\" is not the name of a cgroup file"));
    }
  }
  return absl::OkStatus();
}

json ResourcesJson(const Resources& resources, const NodeFeatures& node) {
  json out = json::object();
  if (json cpu = CpuJson(resources); !cpu.empty()) {
    out["cpu"] = std::move(cpu);
  }
  if (json memory = MemoryJson(resources, node); !memory.empty()) {
    out["memory"] = std::move(memory);
  }
  if (node.hugetlb) {
    for (const Resources::HugepageLimit& huge : resources.hugepage_limits()) {
      out["hugepageLimits"].push_back(
          {{"pageSize", huge.page_size()}, {"limit", huge.limit_bytes()}});
    }
  }
  if (node.cgroup_v2) {
    for (const auto& [file, value] : resources.unified()) {
      out["unified"][file] = value;
    }
  }
  return out;
}

std::string BuildOciResources(const Resources& resources,
                              const NodeFeatures& node) {
  // "replace": never throws, and CheckResources refuses what it would replace.
  return ResourcesJson(resources, node)
      .dump(-1, ' ', false, json::error_handler_t::replace);
}

const Resources& EffectiveResources(const ContainerRecord& container) {
  return container.has_effective_resources() ? container.effective_resources()
                                             : container.spec().resources();
}

}  // namespace quoll::runtime
