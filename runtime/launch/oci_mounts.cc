// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "absl/algorithm/container.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"

#include "os/annotate.h"
#include "os/files.h"
#include "os/mount.h"
#include "os/status_macros.h"
#include "runtime/launch/oci_parts.h"

namespace quoll::runtime {
namespace {

using nlohmann::json;
using state::v1::MountRequest;

json ToJson(const OciMount& mount) {
  return {{"destination", mount.destination},
          {"type", mount.type},
          {"source", mount.source},
          {"options", mount.options}};
}

// True when `path` is `ancestor` or below it. Both are normalised.
bool IsAtOrBelow(absl::string_view path, absl::string_view ancestor) {
  return ancestor == "/" || path == ancestor ||
         (absl::StartsWith(path, ancestor) && path[ancestor.size()] == '/');
}

size_t Depth(absl::string_view path) {
  return path == "/" ? 0 : std::count(path.begin(), path.end(), '/');
}

// A requested mount beside what became of it.
struct Requested {
  OciMount mount;
  MountRequest::Propagation propagation;
};

absl::Status CheckRecursiveReadonly(const MountRequest& request) {
  if (!request.recursive_readonly()) {
    return absl::OkStatus();
  }
  if (!request.readonly()) {
    return absl::InvalidArgumentError(
        "recursive_read_only needs readonly to be set");
  }
  if (request.propagation() != MountRequest::PRIVATE) {
    return absl::InvalidArgumentError(
        "recursive_read_only needs private propagation");
  }
  // The kubelet tells this error by how its message begins and by its code.
  // It asks only handlers that say they can, and none of ours says so yet.
  return absl::UnknownError(
      "RROUnsupported: this runtime handler does not make mounts read-only "
      "recursively");
}

absl::StatusOr<std::vector<std::string>> BindOptions(
    const MountRequest& request) {
  std::vector<std::string> options{"rbind"};
  switch (request.propagation()) {
    case MountRequest::PRIVATE:
      options.push_back("rprivate");
      break;
    case MountRequest::HOST_TO_CONTAINER:
      options.push_back("rslave");
      break;
    case MountRequest::BIDIRECTIONAL:
      options.push_back("rshared");
      break;
    default:
      return absl::InvalidArgumentError(
          absl::StrCat("propagation ", request.propagation(), " is unknown"));
  }
  options.push_back(request.readonly() ? "ro" : "rw");
  for (const std::string& option : request.options()) {
    if (option != "noexec" && option != "nodev" && option != "nosuid") {
      return absl::InvalidArgumentError(
          absl::StrCat("mount option \"", option,
                       "\" is not allowed; noexec, nodev and nosuid are"));
    }
    options.push_back(option);
  }
  return options;
}

absl::StatusOr<Requested> OneRequested(const MountRequest& request,
                                       const os::HostActions::HostPath& host) {
  QUOLL_RETURN_IF_ERROR(CheckText("container_path", request.container_path()));
  QUOLL_ASSIGN_OR_RETURN(std::string destination,
                         NormalizePath(request.container_path()));
  if (destination == "/") {
    return absl::InvalidArgumentError(
        "container_path is the root directory, which cannot be mounted over");
  }
  QUOLL_RETURN_IF_ERROR(CheckRecursiveReadonly(request));
  QUOLL_ASSIGN_OR_RETURN(std::vector<std::string> options,
                         BindOptions(request));
  QUOLL_RETURN_IF_ERROR(CheckText("host_path", host.resolved));
  return Requested{
      {std::move(destination), "bind", host.resolved, std::move(options)},
      request.propagation()};
}

absl::StatusOr<std::vector<Requested>> AllRequested(const SpecInput& input) {
  const ContainerSpec& spec = input.container.spec();
  if (static_cast<size_t>(spec.mounts_size()) != input.mount_sources.size()) {
    return absl::InternalError(absl::StrCat(
        "container has ", spec.mounts_size(), " mounts, but ",
        input.mount_sources.size(), " of their sources were looked up"));
  }
  std::vector<Requested> all;
  for (int i = 0; i < spec.mounts_size(); ++i) {
    absl::StatusOr<Requested> one =
        OneRequested(spec.mounts(i), input.mount_sources[i]);
    if (!one.ok()) {
      // The one error whose first word has a reader: not to be moved back.
      return one.status().code() == absl::StatusCode::kUnknown
                 ? one.status()
                 : os::Annotate(
                       one.status(),
                       absl::StrCat("mount of ", spec.mounts(i).host_path(),
                                    " on ", spec.mounts(i).container_path()));
    }
    all.push_back(*std::move(one));
  }
  return all;
}

// What every container has. /dev is made here and filled by the OCI runtime.
std::vector<OciMount> KernelMounts(bool privileged) {
  const char* const access = privileged ? "rw" : "ro";
  return {
      {"/proc", "proc", "proc", {"nosuid", "noexec", "nodev"}},
      {"/dev",
       "tmpfs",
       "tmpfs",
       {"nosuid", "strictatime", "mode=755", "size=65536k"}},
      {"/dev/pts",
       "devpts",
       "devpts",
       {"nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620",
        "gid=5"}},
      {"/dev/mqueue", "mqueue", "mqueue", {"nosuid", "noexec", "nodev"}},
      {"/sys", "sysfs", "sysfs", {"nosuid", "noexec", "nodev", access}},
      {"/sys/fs/cgroup",
       "cgroup",
       "cgroup",
       {"nosuid", "noexec", "nodev", "relatime", access}},
  };
}

// Files of the pod, shared by its containers.
std::vector<OciMount> PodMounts(const SpecInput& input) {
  const std::string access =
      input.container.spec().security().readonly_rootfs() ? "ro" : "rw";
  std::vector<OciMount> mounts;
  if (!input.resolv_conf.empty()) {
    mounts.push_back({"/etc/resolv.conf",
                      "bind",
                      input.resolv_conf,
                      {"rbind", "rprivate", access}});
  }
  if (!input.hostname_file.empty()) {
    mounts.push_back({"/etc/hostname",
                      "bind",
                      input.hostname_file,
                      {"rbind", "rprivate", access}});
  }
  if (!input.shm_dir.empty()) {
    mounts.push_back(
        {"/dev/shm",
         "bind",
         input.shm_dir,
         {"rbind", "rprivate", "rw", "nosuid", "noexec", "nodev"}});
  }
  return mounts;
}

// Whether a mount of the kernel's file systems gives way: the request has the
// same place or one above, by which it would be hidden (the host's /dev, say).
bool IsReplaced(const OciMount& mount, const std::vector<Requested>& all) {
  return absl::c_any_of(all, [&](const Requested& requested) {
    return IsAtOrBelow(mount.destination, requested.mount.destination);
  });
}

// A pod file is mounted inside a volume above it (a volume on /etc), but not
// when that volume would carry the mount out to the host.
bool IsPodMountReplaced(const OciMount& mount,
                        const std::vector<Requested>& all) {
  return absl::c_any_of(all, [&](const Requested& requested) {
    return requested.mount.destination == mount.destination ||
           (requested.propagation == MountRequest::BIDIRECTIONAL &&
            IsAtOrBelow(mount.destination, requested.mount.destination));
  });
}

absl::Status CheckBidirectional(const std::vector<Requested>& all) {
  std::string mountinfo;
  for (const Requested& requested : all) {
    if (requested.propagation != MountRequest::BIDIRECTIONAL) {
      continue;
    }
    if (mountinfo.empty()) {
      QUOLL_ASSIGN_OR_RETURN(mountinfo, os::ReadFile("/proc/self/mountinfo"));
    }
    QUOLL_RETURN_IF_ERROR(CheckSharedMount(requested.mount.source, mountinfo));
  }
  return absl::OkStatus();
}

// The container's root must pass on what its mounts receive or send. Without
// need for that it is left to the OCI runtime, whose default cuts all of it:
// "private" here would be weaker, as it does not reach submounts of the host.
std::string RootfsPropagation(const std::vector<Requested>& all) {
  std::string propagation;
  for (const Requested& requested : all) {
    if (requested.propagation == MountRequest::BIDIRECTIONAL) {
      return "rshared";
    }
    if (requested.propagation == MountRequest::HOST_TO_CONTAINER) {
      propagation = "rslave";
    }
  }
  return propagation;
}

absl::Status AppendPatchMounts(const SpecInput& input, json& mounts) {
  for (const LaunchPatch& patch : input.patches) {
    for (const OciMount& mount : patch.mounts) {
      OciMount normal = mount;
      absl::StatusOr<std::string> destination =
          NormalizePath(mount.destination);
      if (!destination.ok()) {
        return os::Annotate(destination.status(), "an extension's mount");
      }
      normal.destination = *std::move(destination);
      mounts.push_back(ToJson(normal));
    }
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::string> NormalizePath(absl::string_view path) {
  if (!absl::StartsWith(path, "/")) {
    return absl::InvalidArgumentError(absl::StrCat(
        "path \"", path, "\" is not absolute; begin it with \"/\""));
  }
  if (absl::StrContains(path, '\0')) {
    return absl::InvalidArgumentError("path holds a NUL byte");
  }
  std::vector<absl::string_view> parts;
  for (absl::string_view part : absl::StrSplit(path, '/', absl::SkipEmpty())) {
    if (part == "..") {
      if (!parts.empty()) {
        parts.pop_back();
      }
    } else if (part != ".") {
      parts.push_back(part);
    }
  }
  return absl::StrCat("/", absl::StrJoin(parts, "/"));
}

absl::Status CheckSharedMount(const std::string& source,
                              const std::string& mountinfo_text) {
  // Of mounts stacked on one place the last one is seen.
  const std::vector<os::MountInfo> mounts = os::ParseMountInfo(mountinfo_text);
  const os::MountInfo* holder = nullptr;
  for (const os::MountInfo& mount : mounts) {
    if (IsAtOrBelow(source, mount.mount_point) &&
        (holder == nullptr ||
         mount.mount_point.size() >= holder->mount_point.size())) {
      holder = &mount;
    }
  }
  if (holder != nullptr &&
      absl::StrContains(holder->optional_fields, "shared:")) {
    return absl::OkStatus();
  }
  return absl::InvalidArgumentError(
      absl::StrCat("mount of ", source,
                   ": bidirectional propagation needs a shared mount, and ",
                   holder == nullptr ? "/" : holder->mount_point,
                   " is not one; run mount --make-rshared on it"));
}

absl::StatusOr<MountsPart> MountsJson(const SpecInput& input) {
  QUOLL_ASSIGN_OR_RETURN(std::vector<Requested> all, AllRequested(input));
  QUOLL_RETURN_IF_ERROR(CheckBidirectional(all));

  MountsPart part{json::array(), RootfsPropagation(all)};
  for (const OciMount& mount :
       KernelMounts(input.container.spec().security().privileged())) {
    if (!IsReplaced(mount, all)) {
      part.mounts.push_back(ToJson(mount));
    }
  }
  std::vector<OciMount> binds;
  for (OciMount& mount : PodMounts(input)) {
    if (!IsPodMountReplaced(mount, all)) {
      binds.push_back(std::move(mount));
    }
  }
  for (Requested& requested : all) {
    binds.push_back(std::move(requested.mount));
  }
  // What lies above comes first, else it would hide what lies below.
  std::stable_sort(binds.begin(), binds.end(),
                   [](const OciMount& a, const OciMount& b) {
                     return Depth(a.destination) < Depth(b.destination);
                   });
  for (const OciMount& mount : binds) {
    part.mounts.push_back(ToJson(mount));
  }
  QUOLL_RETURN_IF_ERROR(AppendPatchMounts(input, part.mounts));
  return part;
}

}  // namespace quoll::runtime
