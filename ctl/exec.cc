// SPDX-License-Identifier: Apache-2.0
#include <cstdint>
#include <cstdio>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"

#include "ctl/command.h"
#include "ctl/print.h"
#include "ctl/resolve.h"
#include "os/status_macros.h"

namespace quoll::ctl {
namespace {

using RuntimeStub = criv1::RuntimeService::Stub;

struct Options {
  std::string word;
  std::vector<std::string> command;
  int64_t timeout_seconds = 0;
};

absl::StatusOr<int> Exec(Context& context, const Options& options) {
  Client& client = context.client;
  QUOLL_ASSIGN_OR_RETURN(const Target target,
                         Resolve(client, options.word, Accept::kContainers));
  criv1::ExecSyncRequest request;
  request.set_container_id(target.id);
  request.set_timeout(options.timeout_seconds);
  for (const std::string& word : options.command) {
    request.add_cmd(word);
  }
  const absl::Duration wait =
      options.timeout_seconds == 0
          ? absl::InfiniteDuration()
          : absl::Seconds(options.timeout_seconds) + absl::Minutes(1);
  QUOLL_ASSIGN_OR_RETURN(
      const criv1::ExecSyncResponse response,
      client.Call(client.runtime(), &RuntimeStub::ExecSync, request, wait));
  if (context.json) {
    QUOLL_RETURN_IF_ERROR(PrintJson(response));
    return response.exit_code();
  }
  QUOLL_RETURN_IF_ERROR(Print(response.stdout()));
  const std::string& err = response.stderr();
  if (fwrite(err.data(), 1, err.size(), stderr) != err.size()) {
    return absl::UnavailableError("cannot write to standard error");
  }
  return response.exit_code();
}

}  // namespace

void AddExec(CLI::App& app, Work& chosen) {
  CLI::App* command = app.add_subcommand(
      "exec", "run a command in a container and pass its exit code on");
  auto options = std::make_shared<Options>();
  command->add_option("CONTAINER", options->word, "id, prefix or name")
      ->required();
  command
      ->add_option("--timeout", options->timeout_seconds, "seconds, 0 for none")
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str();
  // Everything behind the container is the command's, options included.
  command->prefix_command();
  command->footer("COMMAND [ARG...] follows the container.");
  command->callback([command, options, &chosen] {
    options->command = CommandWords(*command);
    if (options->command.empty()) {
      throw CLI::RequiredError("COMMAND");
    }
    chosen = [options](Context& context) { return Exec(context, *options); };
  });
}

}  // namespace quoll::ctl
