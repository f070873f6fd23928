// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "absl/status/status.h"

#include "runtime/paths.h"
#include "runtime/types.h"

namespace quoll::runtime {

// resolv.conf(5) for `dns`.
std::string ResolvConfText(const state::v1::Dns& dns);

// The sandbox's hostname: as given, else the node's.
std::string EffectiveHostname(const SandboxSpec& spec);

// Writes the small files that containers of the pod see: resolv.conf and
// hostname. Repeatable. The files are on RUN (tmpfs).
absl::Status WritePodFiles(const Paths& paths, const SandboxRecord& sandbox);

}  // namespace quoll::runtime
