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
  std::vector<std::string> words;
  int64_t timeout_seconds = 10;
};

absl::Status StopOne(Client& client, const Target& target, int64_t timeout) {
  if (target.kind == Target::Kind::kPod) {
    criv1::StopPodSandboxRequest request;
    request.set_pod_sandbox_id(target.id);
    return client
        .Call(client.runtime(), &RuntimeStub::StopPodSandbox, request,
              absl::Minutes(4))
        .status();
  }
  criv1::StopContainerRequest request;
  request.set_container_id(target.id);
  request.set_timeout(timeout);
  return client
      .Call(client.runtime(), &RuntimeStub::StopContainer, request,
            absl::Seconds(timeout) + absl::Minutes(2))
      .status();
}

absl::StatusOr<int> Stop(Context& context, const Options& options) {
  for (const std::string& word : options.words) {
    QUOLL_ASSIGN_OR_RETURN(const Target target,
                           Resolve(context.client, word, Accept::kBoth));
    QUOLL_RETURN_IF_ERROR(
        StopOne(context.client, target, options.timeout_seconds));
    QUOLL_RETURN_IF_ERROR(Print(target.id + "\n"));
  }
  return kExitOk;
}

}  // namespace

void AddStop(CLI::App& app, Work& chosen) {
  CLI::App* command = app.add_subcommand("stop", "stop pods or containers");
  auto options = std::make_shared<Options>();
  command->add_option("ID", options->words, "ids, prefixes or names")
      ->required();
  command
      ->add_option("-t,--time", options->timeout_seconds,
                   "seconds that a container gets before it is killed; a pod's "
                   "containers are killed at once")
      ->check(CLI::Range(int64_t{0}, int64_t{86400}))
      ->capture_default_str();
  command->callback([options, &chosen] {
    chosen = [options](Context& context) { return Stop(context, *options); };
  });
}

}  // namespace quoll::ctl
