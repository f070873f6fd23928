// SPDX-License-Identifier: Apache-2.0
#pragma once

namespace quoll::helper {

// What may be pinned in a pod's directory; ends with null.
inline constexpr const char* kPinNames[] = {"net", "ipc",  "uts",
                                            "pid", "user", nullptr};

// True when a namespace is mounted on `path`.
bool IsPin(const char* path);

// Ends all that lives in the PID namespace pinned at `path`, by killing its
// PID 1, and waits for that. Nothing when there is none.
void KillPidNamespace(const char* path);

}  // namespace quoll::helper
