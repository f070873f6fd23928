// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "absl/types/span.h"

// The lists behind the default system call filter (seccomp_profile.h). What is
// not here fails with EPERM.
namespace quoll::runtime {

// Allowed to every container, whatever its arguments. Left out on purpose:
// io_uring_* (a second way into most calls, which no filter sees), keyctl and
// its kin (keyrings are not namespaced), userfaultfd (stops the kernel in the
// middle of a copy), bpf, perf_event_open, ptrace's kin and all that mounts,
// loads modules or sets clocks: see the capabilities below.
extern const absl::Span<const char* const> kAlwaysAllowedSyscalls;

// Allowed only to a container that holds the capability: without it the kernel
// would refuse them anyway, but only after more of its code has run.
struct CapabilitySyscalls {
  const char* capability;
  absl::Span<const char* const> syscalls;
};
extern const absl::Span<const CapabilitySyscalls> kCapabilitySyscalls;

}  // namespace quoll::runtime
