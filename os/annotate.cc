// SPDX-License-Identifier: Apache-2.0
#include "os/annotate.h"

#include "absl/strings/str_cat.h"

namespace quoll::os {

absl::Status Annotate(const absl::Status& status, absl::string_view context) {
  if (status.ok() || context.empty()) {
    return status;
  }
  absl::Status annotated(status.code(),
                         absl::StrCat(context, ": ", status.message()));
  // Payloads are how a layer hands machine-readable detail upwards; a sentence
  // in front must not cost them.
  status.ForEachPayload(
      [&annotated](absl::string_view type_url, const absl::Cord& payload) {
        annotated.SetPayload(type_url, payload);
      });
  return annotated;
}

absl::Status FirstError(absl::Status first, const absl::Status& second) {
  if (first.ok()) {
    return second;
  }
  if (second.ok()) {
    return first;
  }
  absl::Status both(first.code(),
                    absl::StrCat(first.message(), "; then ", second.message()));
  first.ForEachPayload(
      [&both](absl::string_view type_url, const absl::Cord& payload) {
        both.SetPayload(type_url, payload);
      });
  return both;
}

bool IsGivingUp(const absl::Status& status) {
  return absl::IsDeadlineExceeded(status) || absl::IsCancelled(status);
}

}  // namespace quoll::os
