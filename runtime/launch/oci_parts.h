// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

#include "runtime/launch/oci_spec.h"

#include <nlohmann/json.hpp>

// The parts of an OCI config.json (runtime-spec v1.0.2, config.md and
// config-linux.md). Only oci_spec.cc puts them together. Each is a function of
// its input and of nothing else, except where it says what it reads.
namespace quoll::runtime {

// The "process" object.
absl::StatusOr<nlohmann::json> ProcessJson(const SpecInput& input);

// The "mounts" array, and what linux.rootfsPropagation must be for it ("": the
// OCI runtime's own default). Reads /proc/self/mountinfo when a mount is
// BIDIRECTIONAL.
struct MountsPart {
  nlohmann::json mounts;
  std::string rootfs_propagation;
};
absl::StatusOr<MountsPart> MountsJson(const SpecInput& input);

// OK when `source` lies on a shared mount (mount_namespaces(7)).
absl::Status CheckSharedMount(const std::string& source,
                              const std::string& mountinfo_text);

// "/a/./b/../c/" -> "/a/c"; ".." at the root stays there, as in the kernel.
// InvalidArgument when it is not absolute or holds a NUL.
absl::StatusOr<std::string> NormalizePath(absl::string_view path);

// The "linux" object without rootfsPropagation.
absl::StatusOr<nlohmann::json> LinuxJson(const SpecInput& input);

// "linux.devices" and "linux.resources.devices". A privileged container gets
// every device node below `dev_root` ("/dev" on a node), which is walked.
struct DevicesPart {
  nlohmann::json nodes;
  nlohmann::json rules;
};
absl::StatusOr<DevicesPart> DevicesJson(const SpecInput& input,
                                        const std::string& dev_root);

// The "linux.resources" object without its devices.
nlohmann::json ResourcesJson(const Resources& resources,
                             const NodeFeatures& node);

// The effective request: what an update has changed, else what was asked for.
const Resources& EffectiveResources(const ContainerRecord& container);

// Namespace options of the container, else of its sandbox.
state::v1::Namespaces EffectiveNamespaces(const SpecInput& input);

// A string that JSON can carry and that a program's argument can be: UTF-8
// without NUL. `what` is the subject of the error.
absl::Status CheckText(absl::string_view what, const std::string& text);

}  // namespace quoll::runtime
