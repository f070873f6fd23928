// SPDX-License-Identifier: Apache-2.0
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

#include "cri/rpcs.h"
#include "cri/translate_status.h"
#include "os/status_macros.h"

namespace quoll::cri {

absl::Status ListImages(const Backends& backends, const os::Call& /*call*/,
                        const criv1::ListImagesRequest& request,
                        criv1::ListImagesResponse* response) {
  const std::string& name = request.filter().image().image();
  if (name.empty()) {
    for (const image::ImageRecord& record : backends.images.List()) {
      ToImage(record, backends.facts, response->add_images());
    }
    return absl::OkStatus();
  }
  const absl::StatusOr<image::ImageRecord> record = backends.images.Find(name);
  if (absl::IsNotFound(record.status())) {
    return absl::OkStatus();
  }
  QUOLL_RETURN_IF_ERROR(record.status());
  ToImage(*record, backends.facts, response->add_images());
  return absl::OkStatus();
}

}  // namespace quoll::cri
