// SPDX-License-Identifier: Apache-2.0
#include <memory>
#include <string>
#include <vector>

#include "ctl/command.h"
#include "ctl/print.h"
#include "ctl/table.h"
#include "os/status_macros.h"

namespace quoll::ctl {
namespace {

using ImageStub = criv1::ImageService::Stub;

struct Options {
  bool quiet = false;
};

absl::StatusOr<int> Images(Context& context, const Options& options) {
  Client& client = context.client;
  QUOLL_ASSIGN_OR_RETURN(const criv1::ListImagesResponse images,
                         client.Call(client.images(), &ImageStub::ListImages,
                                     criv1::ListImagesRequest()));
  if (context.json) {
    QUOLL_RETURN_IF_ERROR(PrintJson(images));
    return kExitOk;
  }
  std::vector<std::vector<std::string>> rows;
  for (const criv1::Image& image : images.images()) {
    if (options.quiet) {
      QUOLL_RETURN_IF_ERROR(Print(image.id() + "\n"));
      continue;
    }
    // One row for each name; an image without a tag is known by its digest.
    std::vector<std::string> names(image.repo_tags().begin(),
                                   image.repo_tags().end());
    if (names.empty() && image.repo_digests_size() > 0) {
      names.push_back(image.repo_digests(0));
    }
    if (names.empty()) {
      names.emplace_back("-");
    }
    for (const std::string& name : names) {
      rows.push_back({ShortId(image.id()), name, FormatSize(image.size()),
                      image.pinned() ? "pinned" : ""});
    }
  }
  if (!options.quiet) {
    QUOLL_RETURN_IF_ERROR(
        Print(FormatTable({"IMAGE", "NAME", "SIZE", ""}, rows)));
  }
  return kExitOk;
}

}  // namespace

void AddImages(CLI::App& app, Work& chosen) {
  CLI::App* command = app.add_subcommand("images", "list images");
  auto options = std::make_shared<Options>();
  command->add_flag("-q,--quiet", options->quiet, "only their ids");
  command->callback([options, &chosen] {
    chosen = [options](Context& context) { return Images(context, *options); };
  });
}

}  // namespace quoll::ctl
