// SPDX-License-Identifier: Apache-2.0
#include <filesystem>
#include <memory>
#include <string>
#include <system_error>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/time/time.h"

#include "ctl/command.h"
#include "ctl/print.h"
#include "ctl/table.h"
#include "os/status_macros.h"

namespace quoll::ctl {
namespace {

struct Options {
  std::string path;
  std::string name;
};

absl::StatusOr<int> Load(Context& context, const Options& options) {
  // The daemon reads the file, and it has a working directory of its own.
  std::error_code error;
  const std::filesystem::path path =
      std::filesystem::absolute(options.path, error);
  if (error) {
    return absl::InvalidArgumentError(
        absl::StrCat(options.path, ": ", error.message()));
  }
  opv1::LoadImageRequest request;
  request.set_path(path.string());
  request.set_name(options.name);
  QUOLL_ASSIGN_OR_RETURN(
      const opv1::LoadImageResponse response,
      context.client.Call(context.client.operations(),
                          &opv1::Operator::Stub::LoadImage, request,
                          absl::InfiniteDuration()));
  if (context.json) {
    QUOLL_RETURN_IF_ERROR(PrintJson(response));
    return kExitOk;
  }
  for (const opv1::LoadImageResponse::Loaded& image : response.images()) {
    QUOLL_RETURN_IF_ERROR(
        Print(absl::StrCat(ShortId(image.id()), "  ",
                           Printable(absl::StrJoin(image.repo_tags(), " ")),
                           "  ", FormatSize(image.size_bytes()), "\n")));
  }
  return kExitOk;
}

}  // namespace

void AddLoad(CLI::App& app, Work& chosen) {
  CLI::App* command = app.add_subcommand(
      "load", "bring in an OCI layout (directory or tar) or a docker-archive");
  auto options = std::make_shared<Options>();
  command->add_option("PATH", options->path, "the file or directory")
      ->required();
  command->add_option("--name", options->name,
                      "a name for the only image in it");
  command->callback([options, &chosen] {
    chosen = [options](Context& context) { return Load(context, *options); };
  });
}

}  // namespace quoll::ctl
