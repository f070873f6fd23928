// SPDX-License-Identifier: Apache-2.0
#include "ctl/pod_logs.h"

#include <unistd.h>

#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"

#include "os/files.h"
#include "os/random_id.h"
#include "os/status_macros.h"

namespace quoll::ctl {
namespace {

constexpr absl::string_view kUidPrefix = "quollctl-";

std::string LogsOf(absl::string_view socket) {
  return absl::StrCat(socket.substr(0, socket.rfind('/')), "/logs");
}

}  // namespace

std::string NewPodUid() {
  return absl::StrCat(kUidPrefix, os::RandomHexId(16));
}

std::string PodLogDirectory(absl::string_view socket, absl::string_view uid) {
  return absl::StrCat(LogsOf(socket), "/", uid);
}

absl::Status RemovePodLogs(absl::string_view socket, absl::string_view uid) {
  absl::string_view digits = uid;
  if (!absl::ConsumePrefix(&digits, kUidPrefix) || digits.size() != 32 ||
      !os::IsHexId(digits)) {
    return absl::OkStatus();
  }
  QUOLL_RETURN_IF_ERROR(os::RemoveTree(PodLogDirectory(socket, uid)));
  // The last one takes the common directory along; others keep it.
  rmdir(LogsOf(socket).c_str());
  return absl::OkStatus();
}

}  // namespace quoll::ctl
