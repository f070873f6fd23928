// SPDX-License-Identifier: Apache-2.0
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"

#include "ctl/command.h"
#include "os/status_macros.h"

namespace quoll::ctl {
namespace {

using ImageStub = criv1::ImageService::Stub;

absl::StatusOr<std::string> RemoveOne(Context& context,
                                      const std::string& image) {
  Client& client = context.client;
  // The daemon's answer is OK for an image that is not there; a person who has
  // mistyped wants to know.
  criv1::ImageStatusRequest look;
  look.mutable_image()->set_image(image);
  QUOLL_ASSIGN_OR_RETURN(
      const criv1::ImageStatusResponse found,
      client.Call(client.images(), &ImageStub::ImageStatus, look));
  if (!found.has_image()) {
    return absl::NotFoundError(
        absl::StrCat("there is no image ", image, ": see quollctl images"));
  }
  criv1::RemoveImageRequest request;
  request.mutable_image()->set_image(image);
  QUOLL_RETURN_IF_ERROR(
      client.Call(client.images(), &ImageStub::RemoveImage, request).status());
  return image;
}

absl::StatusOr<int> Rmi(Context& context,
                        const std::vector<std::string>& images) {
  return ForEachWord(context, images, [&context](const std::string& image) {
    return RemoveOne(context, image);
  });
}

}  // namespace

void AddRmi(CLI::App& app, Work& chosen) {
  CLI::App* command =
      app.add_subcommand("rmi", "remove images, with all their names");
  auto images = std::make_shared<std::vector<std::string>>();
  command->add_option("IMAGE", *images, "names or ids")->required();
  command->callback([images, &chosen] {
    chosen = [images](Context& context) { return Rmi(context, *images); };
  });
}

}  // namespace quoll::ctl
