// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "absl/status/statusor.h"

#include "runtime/types.h"

namespace quoll::runtime {

// Who the container's process will be: the request, else the image's USER,
// looked up in /etc/passwd and /etc/group inside `rootfs_fd` with
// RESOLVE_IN_ROOT (files over 1 MiB, FIFOs and devices are refused: they are a
// stranger's). A name that is not there is InvalidArgument; a bare uid need not
// be there. The result has uid and gid set and the supplemental groups complete
// (Merge adds the image's, Strict does not), in ascending order.
absl::StatusOr<state::v1::User> ResolveUser(int rootfs_fd,
                                            const state::v1::User& requested,
                                            bool has_request,
                                            const std::string& image_user);

// Home directory of the uid from the image's passwd, "/" when there is none.
std::string HomeDirectory(int rootfs_fd, int64_t uid);

}  // namespace quoll::runtime
