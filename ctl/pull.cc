// SPDX-License-Identifier: Apache-2.0
#include <memory>
#include <string>

#include "absl/time/time.h"

#include "ctl/command.h"
#include "ctl/print.h"
#include "ctl/table.h"
#include "os/status_macros.h"

namespace quoll::ctl {
namespace {

using ImageStub = criv1::ImageService::Stub;

absl::StatusOr<int> Pull(Context& context, const std::string& image) {
  criv1::PullImageRequest request;
  request.mutable_image()->set_image(image);
  QUOLL_ASSIGN_OR_RETURN(
      const criv1::PullImageResponse response,
      context.client.Call(context.client.images(), &ImageStub::PullImage,
                          request, absl::InfiniteDuration()));
  if (context.json) {
    QUOLL_RETURN_IF_ERROR(PrintJson(response));
  } else {
    QUOLL_RETURN_IF_ERROR(Print(Printable(response.image_ref()) + "\n"));
  }
  return kExitOk;
}

}  // namespace

void AddPull(CLI::App& app, Work& chosen) {
  CLI::App* command =
      app.add_subcommand("pull", "fetch an image from its registry");
  auto image = std::make_shared<std::string>();
  command->add_option("IMAGE", *image, "a name: nginx:1.25")->required();
  command->callback([image, &chosen] {
    chosen = [image](Context& context) { return Pull(context, *image); };
  });
}

}  // namespace quoll::ctl
