// SPDX-License-Identifier: Apache-2.0
#include "runtime/anonymous_volumes.h"

#include <fcntl.h>

#include <cerrno>
#include <filesystem>
#include <set>
#include <utility>

#include "absl/algorithm/container.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"

#include "os/annotate.h"
#include "os/files.h"
#include "os/rooted_path.h"
#include "os/status_macros.h"
#include "os/unique_fd.h"
#include "runtime/copy_tree.h"
#include "runtime/validate.h"

namespace quoll::runtime {
namespace {

constexpr absl::Duration kCopyTime = absl::Seconds(60);
// An image config is a stranger's.
constexpr int kMaxVolumes = 256;

std::string Normal(const std::string& path) {
  std::string normal =
      std::filesystem::path(absl::StrCat("/", path)).lexically_normal();
  while (normal.size() > 1 && normal.back() == '/') {
    normal.pop_back();
  }
  return normal;
}

// At the volume or above it: then the mount decides what is there.
bool IsCovered(const std::string& volume, const ContainerSpec& spec) {
  return absl::c_any_of(spec.mounts(), [&](const auto& mount) {
    return IsBelow(volume, Normal(mount.container_path()));
  });
}

absl::StatusOr<os::UniqueFd> OpenDirectory(const std::string& path) {
  os::UniqueFd fd(
      open(path.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  if (!fd.valid()) {
    return absl::ErrnoToStatus(errno, absl::StrCat("open ", path));
  }
  return fd;
}

// A new directory with the image's content of `volume`, or an empty one.
absl::Status Fill(int rootfs, const std::string& volume,
                  const std::string& directory) {
  QUOLL_RETURN_IF_ERROR(os::MakeDirectories(directory, 0755));
  const auto source =
      os::OpenInRoot(rootfs, volume, O_RDONLY | O_DIRECTORY | O_NONBLOCK);
  if (absl::IsNotFound(source.status())) {
    return absl::OkStatus();
  }
  QUOLL_RETURN_IF_ERROR(source.status());
  QUOLL_ASSIGN_OR_RETURN(const os::UniqueFd target, OpenDirectory(directory));
  CopyLimits limits;
  limits.deadline = absl::Now() + kCopyTime;
  return CopyTree(source->get(), target.get(), limits);
}

}  // namespace

absl::Status AnonymousVolumes::Recover(
    absl::Span<const ContainerRecord> known) {
  const auto names = os::ListDirectory(paths_.AllVolumes());
  if (absl::IsNotFound(names.status())) {
    return absl::OkStatus();
  }
  QUOLL_RETURN_IF_ERROR(names.status());
  std::set<std::string> ids;
  for (const ContainerRecord& record : known) {
    ids.insert(record.id());
  }
  // A store without any record beside volumes is more likely a lost one.
  if (ids.empty() && !names->empty()) {
    return absl::FailedPreconditionError(
        absl::StrCat(paths_.AllVolumes(),
                     " has volumes, but no container is recorded; "
                     "left as they are, remove them by hand"));
  }
  absl::Status first;
  for (const std::string& name : *names) {
    if (!ids.contains(name)) {
      first = os::FirstError(std::move(first), Cleanup(name));
    }
  }
  return first;
}

absl::StatusOr<LaunchPatch> AnonymousVolumes::Prepare(
    const LaunchContext& context) {
  LaunchPatch patch;
  const ContainerSpec& spec = context.container.spec();
  const auto& volumes = spec.image_config().volumes();
  if (volumes.empty()) {
    return patch;
  }
  if (volumes.size() > kMaxVolumes) {
    return absl::InvalidArgumentError(
        absl::StrCat("the image declares ", volumes.size(),
                     " volumes; at most ", kMaxVolumes, " are possible"));
  }
  QUOLL_ASSIGN_OR_RETURN(const os::UniqueFd rootfs,
                         OpenDirectory(context.rootfs));
  const std::string parent = paths_.Volumes(context.container.id());
  std::set<std::string> done;
  for (const std::string& declared : volumes) {
    const std::string volume = Normal(declared);
    if (volume == "/") {
      return absl::InvalidArgumentError(
          "the image declares its root directory a volume");
    }
    if (!done.insert(volume).second || IsCovered(volume, spec)) {
      continue;
    }
    QUOLL_RETURN_IF_ERROR(os::MakeDirectories(parent, 0700));
    const std::string directory =
        absl::StrCat(parent, "/", patch.mounts.size());
    QUOLL_RETURN_IF_ERROR(os::Annotate(Fill(rootfs.get(), volume, directory),
                                       absl::StrCat("volume ", volume)));
    patch.mounts.push_back({.destination = volume,
                            .type = "bind",
                            .source = directory,
                            .options = {"rbind", "rprivate", "rw"}});
  }
  return patch;
}

absl::Status AnonymousVolumes::OnInitCreated(
    const ContainerRecord& /*container*/) {
  return absl::OkStatus();
}

absl::Status AnonymousVolumes::OnResourcesUpdated(
    const ContainerRecord& /*container*/) {
  return absl::OkStatus();
}

absl::Status AnonymousVolumes::OnStopped(const ContainerRecord& /*container*/) {
  return absl::OkStatus();
}

absl::Status AnonymousVolumes::Cleanup(absl::string_view container_id) {
  return os::RemoveTree(paths_.Volumes(container_id));
}

}  // namespace quoll::runtime
