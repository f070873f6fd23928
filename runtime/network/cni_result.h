// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

// What CNI plugins print. Plugins are other people's programs: nothing here
// trusts a byte of it.
namespace quoll::runtime {

// The pod's addresses in the result of ADD, without prefix length: those of
// `ifname` first, else in the order given. Understands the result of 0.1.0 and
// 0.2.0 (ip4, ip6) and of 0.3.0 to 1.1.0 (ips). Addresses of interfaces outside
// of the pod are left out. FailedPrecondition when it is no result, an address
// is none, or none is left.
absl::StatusOr<std::vector<std::string>> CniResultAddresses(
    absl::string_view result_json, absl::string_view ifname);

// The error object that a failed plugin printed (CNI spec, section 5), as a
// status: Unavailable for "try again later" (11) and "not available" (50, 51),
// else FailedPrecondition. When `out` is no such object, the exit and `err` are
// all that is known.
absl::Status CniErrorStatus(absl::string_view out, absl::string_view err,
                            absl::string_view exit);

}  // namespace quoll::runtime
