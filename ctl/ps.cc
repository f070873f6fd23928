// SPDX-License-Identifier: Apache-2.0
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"

#include "ctl/command.h"
#include "ctl/print.h"
#include "ctl/table.h"
#include "os/status_macros.h"

namespace quoll::ctl {
namespace {

using RuntimeStub = criv1::RuntimeService::Stub;

struct Options {
  bool all = false;
  bool quiet = false;
};

std::string StateName(criv1::ContainerState state) {
  switch (state) {
    case criv1::CONTAINER_CREATED:
      return "created";
    case criv1::CONTAINER_RUNNING:
      return "running";
    case criv1::CONTAINER_EXITED:
      return "exited";
    default:
      return "unknown";
  }
}

// "exited (1)": only the container's status has the code.
absl::StatusOr<std::string> DescribeState(Client& client,
                                          const criv1::Container& container) {
  std::string name = StateName(container.state());
  if (container.state() != criv1::CONTAINER_EXITED) {
    return name;
  }
  criv1::ContainerStatusRequest request;
  request.set_container_id(container.id());
  const auto status =
      client.Call(client.runtime(), &RuntimeStub::ContainerStatus, request);
  if (absl::IsNotFound(status.status())) {
    return name;  // removed since the list was made
  }
  QUOLL_RETURN_IF_ERROR(status.status());
  return absl::StrCat(name, " (", status->status().exit_code(), ")");
}

absl::StatusOr<int> Ps(Context& context, const Options& options) {
  Client& client = context.client;
  criv1::ListContainersRequest request;
  if (!options.all) {
    request.mutable_filter()->mutable_state()->set_state(
        criv1::CONTAINER_RUNNING);
  }
  QUOLL_ASSIGN_OR_RETURN(
      const criv1::ListContainersResponse containers,
      client.Call(client.runtime(), &RuntimeStub::ListContainers, request));
  if (context.json) {
    QUOLL_RETURN_IF_ERROR(PrintJson(containers));
    return kExitOk;
  }
  QUOLL_ASSIGN_OR_RETURN(
      const criv1::ListPodSandboxResponse pods,
      client.Call(client.runtime(), &RuntimeStub::ListPodSandbox,
                  criv1::ListPodSandboxRequest()));
  std::map<std::string, std::string> pod_names;
  for (const criv1::PodSandbox& pod : pods.items()) {
    pod_names[pod.id()] = pod.metadata().name();
  }
  std::vector<std::vector<std::string>> rows;
  for (const criv1::Container& container : containers.containers()) {
    if (options.quiet) {
      QUOLL_RETURN_IF_ERROR(Print(container.id() + "\n"));
    } else {
      QUOLL_ASSIGN_OR_RETURN(const std::string state,
                             DescribeState(client, container));
      rows.push_back({ShortId(container.id()), container.metadata().name(),
                      pod_names[container.pod_sandbox_id()],
                      container.image().image(), state,
                      FormatAge(container.created_at(), absl::Now())});
    }
  }
  if (!options.quiet) {
    QUOLL_RETURN_IF_ERROR(Print(FormatTable(
        {"CONTAINER", "NAME", "POD", "IMAGE", "STATE", "AGE"}, rows)));
  }
  return kExitOk;
}

}  // namespace

void AddPs(CLI::App& app, Work& chosen) {
  CLI::App* command = app.add_subcommand("ps", "list containers that run");
  auto options = std::make_shared<Options>();
  command->add_flag("-a,--all", options->all, "and those that do not");
  command->add_flag("-q,--quiet", options->quiet, "only their ids");
  command->callback([options, &chosen] {
    chosen = [options](Context& context) { return Ps(context, *options); };
  });
}

}  // namespace quoll::ctl
