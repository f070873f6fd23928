// SPDX-License-Identifier: Apache-2.0
#include "os/fake_mounter.h"

#include <sys/mount.h>

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"

#include "os/status_macros.h"

namespace quoll::os {

absl::Status FakeMounter::Begin(const std::string& call,
                                const std::string& target,
                                absl::Time deadline) {
  calls_.push_back(absl::StrCat(call, " ", target));
  if (absl::Now() >= deadline) {
    return absl::DeadlineExceededError(
        absl::StrCat(call, " ", target, ": the deadline has passed"));
  }
  if (const auto it = failing_calls_.find(calls_.size());
      it != failing_calls_.end()) {
    return it->second;
  }
  if (const auto it = failing_targets_.find(target);
      it != failing_targets_.end()) {
    return it->second;
  }
  if (target.empty()) {
    return absl::InvalidArgumentError(absl::StrCat(call, ": no target"));
  }
  return absl::OkStatus();
}

absl::Status FakeMounter::Mount(const MountSpec& spec, absl::Time deadline) {
  constexpr uint64_t kNoNewMount =
      MS_REMOUNT | MS_SHARED | MS_PRIVATE | MS_SLAVE | MS_UNBINDABLE;
  const absl::MutexLock lock(&mutex_);
  QUOLL_RETURN_IF_ERROR(Begin("mount", spec.target, deadline));
  const bool makes_mount =
      !spec.fstype.empty() || (spec.flags & kNoNewMount) == 0 ||
      ((spec.flags & MS_BIND) != 0 && (spec.flags & MS_REMOUNT) == 0);
  if (makes_mount) {
    mounted_.push_back({spec.target, spec, std::nullopt});
  }
  return absl::OkStatus();
}

absl::Status FakeMounter::MountOverlay(const OverlaySpec& spec,
                                       absl::Time deadline) {
  const absl::MutexLock lock(&mutex_);
  QUOLL_RETURN_IF_ERROR(Begin("overlay", spec.target, deadline));
  if (spec.lower.empty() || spec.upper.empty() != spec.work.empty()) {
    return absl::InvalidArgumentError(
        absl::StrCat("mount overlay on ", spec.target,
                     ": no layer, or upper without work directory"));
  }
  mounted_.push_back({spec.target, {}, spec});
  return absl::OkStatus();
}

absl::Status FakeMounter::Unmount(const std::string& target, bool lazy,
                                  absl::Time deadline) {
  const absl::MutexLock lock(&mutex_);
  QUOLL_RETURN_IF_ERROR(
      Begin(lazy ? "unmount lazy" : "unmount", target, deadline));
  const auto at_target = [&](const Mounted& m) { return m.target == target; };
  const auto below = [&](const Mounted& m) {
    return m.target.rfind(target + "/", 0) == 0;
  };
  if (std::none_of(mounted_.begin(), mounted_.end(), at_target)) {
    return absl::OkStatus();
  }
  // As the kernel: what is mounted inside keeps it busy, and goes with it when
  // it is detached.
  if (!lazy && std::any_of(mounted_.begin(), mounted_.end(), below)) {
    return absl::FailedPreconditionError(
        absl::StrCat("unmount ", target, ": Device or resource busy"));
  }
  mounted_.erase(std::remove_if(mounted_.begin(), mounted_.end(),
                                [&](const Mounted& m) {
                                  return at_target(m) || below(m);
                                }),
                 mounted_.end());
  return absl::OkStatus();
}

absl::StatusOr<std::vector<std::string>> FakeMounter::ListUnder(
    const std::string& prefix) const {
  const absl::MutexLock lock(&mutex_);
  std::vector<std::string> mount_points;
  for (const Mounted& mounted : mounted_) {
    mount_points.push_back(mounted.target);
  }
  return MountPointsUnder(std::move(mount_points), prefix);
}

std::vector<FakeMounter::Mounted> FakeMounter::mounted() const {
  const absl::MutexLock lock(&mutex_);
  return mounted_;
}

std::vector<std::string> FakeMounter::calls() const {
  const absl::MutexLock lock(&mutex_);
  return calls_;
}

void FakeMounter::FailCall(int k, absl::Status status) {
  const absl::MutexLock lock(&mutex_);
  failing_calls_[calls_.size() + static_cast<size_t>(k)] = std::move(status);
}

void FakeMounter::FailTarget(const std::string& target, absl::Status status) {
  const absl::MutexLock lock(&mutex_);
  if (status.ok()) {
    failing_targets_.erase(target);
  } else {
    failing_targets_[target] = std::move(status);
  }
}

}  // namespace quoll::os
