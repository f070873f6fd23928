// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"

namespace quoll::os {

// What mount(2) takes, and more than one call of it where it takes several: a
// bind with further flags is remounted to apply them (to the top mount only, as
// the kernel does), propagation flags are set last. On error nothing is left
// mounted.
struct MountSpec {
  std::string source;
  std::string target;
  std::string fstype;  // "" for binds
  uint64_t flags = 0;  // MS_* of mount(2)
  std::string data;
};

// An overlay: layers bottom first, any bytes in their names. With an empty
// `upper` it is read-only; a single layer is then bind-mounted, for overlayfs
// wants two: whiteouts in it stay visible as devices 0:0.
struct OverlaySpec {
  std::vector<std::string> lower;
  std::string upper;
  std::string work;
  std::string target;
  std::vector<std::string> options;  // "volatile", "metacopy=on", ...
};

// The privileged part of mounting; everything above it is testable with
// FakeMounter. Every call runs in a helper process that is abandoned at the
// deadline, so that a dead disk or server costs one call. Thread-safe.
class Mounter {
 public:
  virtual ~Mounter() = default;
  virtual absl::Status Mount(const MountSpec& spec, absl::Time deadline) = 0;
  virtual absl::Status MountOverlay(const OverlaySpec& spec,
                                    absl::Time deadline) = 0;
  // OK when nothing is mounted at `target` or it does not exist. Unmounts what
  // is stacked there. Lazily (MNT_DETACH) only when `lazy`.
  virtual absl::Status Unmount(const std::string& target, bool lazy,
                               absl::Time deadline) = 0;
  // Mount points at or below `prefix` (a path without symlinks, as the kernel
  // shows them), deepest first, a stack of several once.
  virtual absl::StatusOr<std::vector<std::string>> ListUnder(
      const std::string& prefix) const = 0;
};

// One line of /proc/self/mountinfo (proc_pid_mountinfo(5)), unescaped.
struct MountInfo {
  uint64_t id = 0;
  std::string root;
  std::string mount_point;
  std::string options;
  std::string optional_fields;  // "shared:12 master:3"
  std::string fstype;
  std::string source;
  std::string super_options;
};

// Unreadable lines are skipped. Pure.
std::vector<MountInfo> ParseMountInfo(const std::string& text);

// Those at or below `prefix` (component-wise), each once, deepest first. Pure.
std::vector<std::string> MountPointsUnder(std::vector<std::string> mount_points,
                                          absl::string_view prefix);

}  // namespace quoll::os
