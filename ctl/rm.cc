// SPDX-License-Identifier: Apache-2.0
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/time/time.h"

#include "ctl/command.h"
#include "ctl/pod_logs.h"
#include "ctl/resolve.h"
#include "os/status_macros.h"

namespace quoll::ctl {
namespace {

using RuntimeStub = criv1::RuntimeService::Stub;

struct Options {
  std::vector<std::string> words;
  bool force = false;
};

absl::Status StillRuns(const Target& target) {
  return absl::FailedPreconditionError(
      absl::StrCat(Describe(target),
                   " has not been stopped: quollctl stop it first, or "
                   "quollctl rm -f"));
}

absl::Status RemovePod(Client& client, const Target& target, bool force) {
  criv1::PodSandboxStatusRequest look;
  look.set_pod_sandbox_id(target.id);
  QUOLL_ASSIGN_OR_RETURN(
      const criv1::PodSandboxStatusResponse pod,
      client.Call(client.runtime(), &RuntimeStub::PodSandboxStatus, look));
  if (!force && pod.status().state() == criv1::SANDBOX_READY) {
    return StillRuns(target);
  }
  criv1::RemovePodSandboxRequest request;
  request.set_pod_sandbox_id(target.id);
  QUOLL_RETURN_IF_ERROR(client
                            .Call(client.runtime(),
                                  &RuntimeStub::RemovePodSandbox, request,
                                  absl::Minutes(4))
                            .status());
  // Logs belong to whoever has made the pod: ours, if quollctl has.
  return RemovePodLogs(client.socket(), pod.status().metadata().uid());
}

absl::Status RemoveContainer(Client& client, const Target& target, bool force) {
  criv1::ContainerStatusRequest look;
  look.set_container_id(target.id);
  QUOLL_ASSIGN_OR_RETURN(
      const criv1::ContainerStatusResponse container,
      client.Call(client.runtime(), &RuntimeStub::ContainerStatus, look));
  if (!force && container.status().state() == criv1::CONTAINER_RUNNING) {
    return StillRuns(target);
  }
  criv1::RemoveContainerRequest request;
  request.set_container_id(target.id);
  return client
      .Call(client.runtime(), &RuntimeStub::RemoveContainer, request,
            absl::Minutes(2))
      .status();
}

absl::StatusOr<int> Rm(Context& context, const Options& options) {
  Client& client = context.client;
  const auto one = [&](const std::string& word) -> absl::StatusOr<std::string> {
    QUOLL_ASSIGN_OR_RETURN(const Target target,
                           Resolve(client, word, Accept::kBoth));
    QUOLL_RETURN_IF_ERROR(target.kind == Target::Kind::kPod
                              ? RemovePod(client, target, options.force)
                              : RemoveContainer(client, target, options.force));
    return target.id;
  };
  return ForEachWord(context, options.words, one);
}

}  // namespace

void AddRm(CLI::App& app, Work& chosen) {
  CLI::App* command = app.add_subcommand(
      "rm", "remove pods (with their containers) or containers");
  auto options = std::make_shared<Options>();
  command->add_option("ID", options->words, "ids, prefixes or names")
      ->required();
  command->add_flag("-f,--force", options->force,
                    "also what has not been stopped");
  command->callback([options, &chosen] {
    chosen = [options](Context& context) { return Rm(context, *options); };
  });
}

}  // namespace quoll::ctl
