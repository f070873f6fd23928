// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"

#include <nlohmann/json.hpp>

// System call filters as the OCI runtime spec has them ("linux.seccomp").
namespace quoll::runtime {

// The profile that RuntimeDefault means: a list of allowed calls, the rest
// fails with EPERM. Calls that only a capability makes useful are allowed to
// those that hold it (`capabilities`: "CAP_SYS_ADMIN", ...). Names that this
// libseccomp does not know are left out, since OCI runtimes are linked with it
// and some refuse them.
nlohmann::json DefaultSeccompProfile(
    const std::vector<std::string>& capabilities);

// A profile of the node's admin: `path` is absolute, a regular file of at most
// 1 MiB, JSON in the OCI form. InvalidArgument says what is wrong with it.
absl::StatusOr<nlohmann::json> LoadSeccompProfile(const std::string& path);

}  // namespace quoll::runtime
