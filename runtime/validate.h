// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

#include "runtime/types.h"

// What can be said about a request before anything is done. InvalidArgument
// names the field and what to change. Pure.
namespace quoll::runtime {

absl::Status ValidateSandbox(const SandboxSpec& spec);

// `sandbox` is the one that it is to run in.
absl::Status ValidateContainer(const ContainerSpec& spec,
                               const SandboxRecord& sandbox);

// The cgroup that containers are put under: `given`, made absolute.
// InvalidArgument for a systemd slice.
absl::StatusOr<std::string> CgroupParent(absl::string_view given);

// `log_directory`/`log_path`; "" when either is empty: then output is drained,
// not kept. InvalidArgument for a path that leaves the directory.
absl::StatusOr<std::string> LogPath(absl::string_view log_directory,
                                    absl::string_view log_path);

// True when `path` is `directory` or below it, by their names alone.
bool IsBelow(absl::string_view path, absl::string_view directory);

// Which namespace has the sysctl: "net", "ipc", "uts", or "" for none.
absl::string_view NamespaceOfSysctl(absl::string_view name);

}  // namespace quoll::runtime
