// SPDX-License-Identifier: Apache-2.0
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"

#include "ctl/command.h"
#include "ctl/resolve.h"
#include "os/status_macros.h"

namespace quoll::ctl {
namespace {

using RuntimeStub = criv1::RuntimeService::Stub;

struct Options {
  std::vector<std::string> words;
  int64_t timeout_seconds = 10;
};

absl::Status StopContainer(Client& client, const std::string& id,
                           int64_t timeout) {
  criv1::StopContainerRequest request;
  request.set_container_id(id);
  request.set_timeout(timeout);
  return client
      .Call(client.runtime(), &RuntimeStub::StopContainer, request,
            absl::Seconds(timeout) + absl::Minutes(2))
      .status();
}

// The daemon would kill the containers of a pod at once: as the kubelet does,
// they are asked first.
absl::Status StopPod(Client& client, const std::string& id, int64_t timeout) {
  criv1::ListContainersRequest look;
  look.mutable_filter()->set_pod_sandbox_id(id);
  look.mutable_filter()->mutable_state()->set_state(criv1::CONTAINER_RUNNING);
  QUOLL_ASSIGN_OR_RETURN(
      const criv1::ListContainersResponse containers,
      client.Call(client.runtime(), &RuntimeStub::ListContainers, look));
  for (const criv1::Container& container : containers.containers()) {
    QUOLL_RETURN_IF_ERROR(StopContainer(client, container.id(), timeout));
  }
  criv1::StopPodSandboxRequest request;
  request.set_pod_sandbox_id(id);
  return client
      .Call(client.runtime(), &RuntimeStub::StopPodSandbox, request,
            absl::Minutes(4))
      .status();
}

absl::StatusOr<int> Stop(Context& context, const Options& options) {
  Client& client = context.client;
  const auto one = [&](const std::string& word) -> absl::StatusOr<std::string> {
    QUOLL_ASSIGN_OR_RETURN(const Target target,
                           Resolve(client, word, Accept::kBoth));
    QUOLL_RETURN_IF_ERROR(
        target.kind == Target::Kind::kPod
            ? StopPod(client, target.id, options.timeout_seconds)
            : StopContainer(client, target.id, options.timeout_seconds));
    return target.id;
  };
  return ForEachWord(context, options.words, one);
}

}  // namespace

void AddStop(CLI::App& app, Work& chosen) {
  CLI::App* command = app.add_subcommand("stop", "stop pods or containers");
  auto options = std::make_shared<Options>();
  command->add_option("ID", options->words, "ids, prefixes or names")
      ->required();
  command
      ->add_option("-t,--time", options->timeout_seconds,
                   "seconds that a container gets before it is killed")
      ->check(CLI::Range(int64_t{0}, int64_t{86400}))
      ->capture_default_str();
  command->callback([options, &chosen] {
    chosen = [options](Context& context) { return Stop(context, *options); };
  });
}

}  // namespace quoll::ctl
