// SPDX-License-Identifier: Apache-2.0
#pragma once

namespace quoll::helper {

// Unmounts all that is stacked on `target`. 0, also when nothing is mounted
// there or it does not exist; else the errno.
int UnmountAll(const char* target, bool lazy);

}  // namespace quoll::helper
