// SPDX-License-Identifier: Apache-2.0
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

#include "cri/record_json.h"
#include "cri/rpcs.h"
#include "cri/translate_linux.h"
#include "cri/translate_status.h"
#include "nlohmann/json.hpp"
#include "os/status_macros.h"

namespace quoll::cri {

absl::Status ImageStatus(const Backends& backends, const os::Call& /*call*/,
                         const criv1::ImageStatusRequest& request,
                         criv1::ImageStatusResponse* response) {
  QUOLL_RETURN_IF_ERROR(RequireField(request.image().image(), "image.image",
                                     "name the image to look at"));
  const absl::StatusOr<image::ImageRecord> record =
      backends.images.Find(request.image().image());
  if (absl::IsNotFound(record.status())) {
    return absl::OkStatus();  // "no image" is the answer, not an error
  }
  QUOLL_RETURN_IF_ERROR(record.status());
  ToImage(*record, backends.facts, response->mutable_image());
  if (request.verbose()) {
    const nlohmann::json info = {
        {"imageSpec", ParsedJson(record->config_json())},
        {"chainLength", record->diff_ids_size()}};
    (*response->mutable_info())["info"] = DumpJson(info);
  }
  return absl::OkStatus();
}

}  // namespace quoll::cri
