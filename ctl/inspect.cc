// SPDX-License-Identifier: Apache-2.0
#include <memory>
#include <string>

#include "ctl/command.h"
#include "ctl/print.h"
#include "ctl/resolve.h"
#include "os/status_macros.h"

namespace quoll::ctl {
namespace {

absl::StatusOr<int> Inspect(Context& context, const std::string& word) {
  QUOLL_ASSIGN_OR_RETURN(const Target target,
                         Resolve(context.client, word, Accept::kBoth));
  opv1::InspectRequest request;
  request.set_id(target.id);
  QUOLL_ASSIGN_OR_RETURN(
      const opv1::InspectResponse response,
      context.client.Call(context.client.operations(),
                          &opv1::Operator::Stub::Inspect, request));
  QUOLL_RETURN_IF_ERROR(Print(response.json() + "\n"));
  return kExitOk;
}

}  // namespace

void AddInspect(CLI::App& app, Work& chosen) {
  CLI::App* command = app.add_subcommand(
      "inspect", "everything about a pod or container, as JSON");
  auto word = std::make_shared<std::string>();
  command->add_option("ID", *word, "id, prefix of one, or name")->required();
  command->callback([word, &chosen] {
    chosen = [word](Context& context) { return Inspect(context, *word); };
  });
}

}  // namespace quoll::ctl
