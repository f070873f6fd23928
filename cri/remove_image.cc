// SPDX-License-Identifier: Apache-2.0
#include "absl/status/status.h"

#include "cri/rpcs.h"
#include "cri/translate_linux.h"
#include "os/status_macros.h"

namespace quoll::cri {

absl::Status RemoveImage(const Backends& backends, const os::Call& /*call*/,
                         const criv1::RemoveImageRequest& request,
                         criv1::RemoveImageResponse* /*response*/) {
  QUOLL_RETURN_IF_ERROR(RequireField(request.image().image(), "image.image",
                                     "name the image to remove"));
  return backends.images.Remove(request.image().image());
}

}  // namespace quoll::cri
