// SPDX-License-Identifier: Apache-2.0
#include "image/bounded_json.h"

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"

#include "os/json.h"

namespace quoll::image {

absl::StatusOr<nlohmann::json> ParseBoundedJson(absl::string_view text,
                                                absl::string_view subject) {
  absl::StatusOr<nlohmann::json> json = os::ParseJson(text);
  if (!json.ok()) {
    return absl::DataLossError(
        absl::StrCat(subject, ": ", json.status().message()));
  }
  return json;
}

}  // namespace quoll::image
