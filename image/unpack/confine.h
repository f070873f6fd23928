// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "image/unpack/error.h"

namespace quoll::unpack {

// Gives up what unpacking does not need, before the first byte of input is
// read: the rest of the file system (chroot into `root_fd`, which becomes the
// working directory), capabilities, privileges of programs (no_new_privs),
// core dumps, ptrace by the user's other processes, memory beyond 1 GiB. Must
// run before the first thread starts, as most of it is per thread.
Error Confine(int root_fd);

}  // namespace quoll::unpack
