// SPDX-License-Identifier: Apache-2.0
#include <string>

#include "absl/strings/str_cat.h"

#include "ctl/command.h"
#include "ctl/print.h"
#include "ctl/table.h"
#include "os/status_macros.h"

namespace quoll::ctl {
namespace {

using RuntimeStub = criv1::RuntimeService::Stub;

absl::StatusOr<int> Version(Context& context) {
  if (!context.json) {
    // Known without the daemon, and worth knowing when it does not answer.
    QUOLL_RETURN_IF_ERROR(Print("quollctl " QUOLL_VERSION "\n"));
  }
  QUOLL_ASSIGN_OR_RETURN(
      const criv1::VersionResponse version,
      context.client.Call(context.client.runtime(), &RuntimeStub::Version,
                          criv1::VersionRequest()));
  if (context.json) {
    QUOLL_RETURN_IF_ERROR(PrintJson(version));
  } else {
    QUOLL_RETURN_IF_ERROR(
        Print(absl::StrCat(Printable(version.runtime_name()), " ",
                           Printable(version.runtime_version()), ", CRI ",
                           Printable(version.runtime_api_version()), "\n")));
  }
  return kExitOk;
}

}  // namespace

void AddVersion(CLI::App& app, Work& chosen) {
  CLI::App* command =
      app.add_subcommand("version", "versions of quollctl and of the daemon");
  command->callback([&chosen] { chosen = &Version; });
}

}  // namespace quoll::ctl
