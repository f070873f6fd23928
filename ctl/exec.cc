// SPDX-License-Identifier: Apache-2.0
#include <cstdint>
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
  int64_t timeout_seconds = 0;
};

absl::StatusOr<int> RunCommand(Context& context, const Options& options) {
  Client& client = context.client;
  QUOLL_ASSIGN_OR_RETURN(const Target target,
                         Resolve(client, options.word, Accept::kContainers));
  criv1::ExecSyncRequest request;
  request.set_container_id(target.id);
  request.set_timeout(options.timeout_seconds);
  for (const std::string& word : context.words) {
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
  QUOLL_RETURN_IF_ERROR(PrintToStderr(response.stderr()));
  return response.exit_code();
}

absl::StatusOr<int> Exec(Context& context, const Options& options) {
  if (context.words.empty()) {
    return UsageError("exec: COMMAND is missing: quollctl exec CONTAINER ls");
  }
  absl::StatusOr<int> code = RunCommand(context, options);
  if (!code.ok()) {
    // No code of quollctl's own may look like one of the command's.
    PrintError(code.status());
    return kExitNotRun;
  }
  return code;
}

}  // namespace

void AddExec(CLI::App& app, Work& chosen) {
  CLI::App* command = app.add_subcommand(
      "exec", "run a command in a container and pass its exit code on");
  auto options = std::make_shared<Options>();
  command->add_option("CONTAINER", options->word, "id, prefix or name")
      ->required();
  command
      ->add_option("--timeout", options->timeout_seconds,
                   "seconds until it is killed, 0 for never")
      ->check(CLI::Range(int64_t{0}, int64_t{86400}))
      ->capture_default_str();
  // Everything behind the container is the command's, options included.
  command->prefix_command();
  command->footer("COMMAND [ARG...] follows the container.");
  command->callback([options, &chosen] {
    chosen = [options](Context& context) { return Exec(context, *options); };
  });
}

}  // namespace quoll::ctl
