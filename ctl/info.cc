// SPDX-License-Identifier: Apache-2.0
#include <map>
#include <string>

#include "absl/strings/str_cat.h"

#include "ctl/command.h"
#include "ctl/print.h"
#include "ctl/table.h"
#include "os/status_macros.h"

namespace quoll::ctl {
namespace {

using RuntimeStub = criv1::RuntimeService::Stub;

absl::StatusOr<int> Info(Context& context) {
  criv1::StatusRequest request;
  request.set_verbose(true);
  QUOLL_ASSIGN_OR_RETURN(const criv1::StatusResponse status,
                         context.client.Call(context.client.runtime(),
                                             &RuntimeStub::Status, request));
  if (context.json) {
    QUOLL_RETURN_IF_ERROR(PrintJson(status));
    return kExitOk;
  }
  std::string text;
  for (const criv1::RuntimeCondition& condition :
       status.status().conditions()) {
    absl::StrAppend(&text, condition.type(), ": ",
                    condition.status() ? "yes" : "no");
    if (!condition.status()) {
      absl::StrAppend(&text, " (", Printable(condition.message()), ")");
    }
    text += '\n';
  }
  text += "Handlers:";
  for (const criv1::RuntimeHandler& handler : status.runtime_handlers()) {
    if (!handler.name().empty()) {
      absl::StrAppend(&text, " ", handler.name());
    }
  }
  // The daemon's own sections, JSON each; a protobuf map has no order.
  for (const auto& [key, json] : std::map<std::string, std::string>(
           status.info().begin(), status.info().end())) {
    absl::StrAppend(&text, "\n", key, ": ", json);
  }
  QUOLL_RETURN_IF_ERROR(Print(text + "\n"));
  return kExitOk;
}

}  // namespace

void AddInfo(CLI::App& app, Work& chosen) {
  CLI::App* command = app.add_subcommand(
      "info", "is the daemon ready, and how is it configured");
  command->callback([&chosen] { chosen = &Info; });
}

}  // namespace quoll::ctl
