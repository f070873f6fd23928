// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

// Where the pods of `quollctl run` log: DIR/logs/UID, DIR being the directory
// of the daemon's socket. The uid is one that quollctl has drawn; nothing that
// a pod says about itself (an annotation, say) ever chooses a path that root
// removes.
namespace quoll::ctl {

// A new uid: "quollctl-" and 32 random hex digits.
std::string NewPodUid();

std::string PodLogDirectory(absl::string_view socket, absl::string_view uid);

// Removes the directory, if `uid` is one of ours. OK when there is none.
absl::Status RemovePodLogs(absl::string_view socket, absl::string_view uid);

}  // namespace quoll::ctl
