// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

#include "proto/runtime/v1/api.pb.h"
#include "proto/state/v1/state.pb.h"

// The parts of CRI that sandboxes and containers share. Pure. `field` is the
// name of the message in the request, for errors: "config.linux.resources".
namespace quoll::cri {

absl::StatusOr<state::v1::Resources> ToResources(
    const ::runtime::v1::LinuxContainerResources& resources,
    absl::string_view field);
void FromResources(const state::v1::Resources& resources,
                   ::runtime::v1::LinuxContainerResources* out);

// Refuses user namespaces (Unimplemented) and modes that the namespace does not
// have. `for_container` allows PID mode TARGET.
absl::StatusOr<state::v1::Namespaces> ToNamespaces(
    const ::runtime::v1::NamespaceOption& options, bool for_container,
    absl::string_view field);
void FromNamespaces(const state::v1::Namespaces& namespaces,
                    ::runtime::v1::NamespaceOption* out);

state::v1::SeLinux ToSeLinux(const ::runtime::v1::SELinuxOption& selinux);

// A profile as CRI v1 has it.
absl::StatusOr<state::v1::SecurityProfile> ToProfile(
    const ::runtime::v1::SecurityProfile& profile, absl::string_view field);

// A profile as the deprecated string fields have it: "runtime/default",
// "docker/default", "unconfined", "localhost/NAME".
absl::StatusOr<state::v1::SecurityProfile> ToProfile(
    absl::string_view deprecated, absl::string_view field);

// What the kernel and C programs read ends at the first zero byte: a text with
// one would be used as something else than what it says.
absl::Status RefuseNul(absl::string_view value, absl::string_view field);

// InvalidArgument "FIELD is empty: WHY".
absl::Status RequireField(absl::string_view value, absl::string_view field,
                          absl::string_view why);

}  // namespace quoll::cri
