// SPDX-License-Identifier: Apache-2.0
#include <memory>
#include <string>
#include <vector>

#include "absl/time/clock.h"

#include "ctl/command.h"
#include "ctl/print.h"
#include "ctl/table.h"
#include "os/status_macros.h"

namespace quoll::ctl {
namespace {

using RuntimeStub = criv1::RuntimeService::Stub;

struct Options {
  bool quiet = false;
};

absl::StatusOr<std::vector<std::string>> Row(Client& client,
                                             const criv1::PodSandbox& pod) {
  const bool ready = pod.state() == criv1::SANDBOX_READY;
  std::string ip = "-";
  if (ready) {
    criv1::PodSandboxStatusRequest request;
    request.set_pod_sandbox_id(pod.id());
    const auto status =
        client.Call(client.runtime(), &RuntimeStub::PodSandboxStatus, request);
    if (absl::IsNotFound(status.status())) {
      return std::vector<std::string>();  // removed since the list was made
    }
    QUOLL_RETURN_IF_ERROR(status.status());
    if (!status->status().network().ip().empty()) {
      ip = status->status().network().ip();
    } else {
      ip = "host";
    }
  }
  return std::vector<std::string>{
      ShortId(pod.id()),
      pod.metadata().name(),
      pod.metadata().namespace_(),
      ready ? "ready" : "not ready",
      ip,
      FormatAge(pod.created_at(), absl::Now()),
      pod.runtime_handler().empty() ? "(default)" : pod.runtime_handler()};
}

absl::StatusOr<int> Pods(Context& context, const Options& options) {
  Client& client = context.client;
  QUOLL_ASSIGN_OR_RETURN(
      const criv1::ListPodSandboxResponse pods,
      client.Call(client.runtime(), &RuntimeStub::ListPodSandbox,
                  criv1::ListPodSandboxRequest()));
  if (context.json) {
    QUOLL_RETURN_IF_ERROR(PrintJson(pods));
    return kExitOk;
  }
  std::vector<std::vector<std::string>> rows;
  for (const criv1::PodSandbox& pod : pods.items()) {
    if (options.quiet) {
      QUOLL_RETURN_IF_ERROR(Print(pod.id() + "\n"));
      continue;
    }
    QUOLL_ASSIGN_OR_RETURN(std::vector<std::string> row, Row(client, pod));
    if (!row.empty()) {
      rows.push_back(std::move(row));
    }
  }
  if (!options.quiet) {
    QUOLL_RETURN_IF_ERROR(Print(FormatTable(
        {"POD", "NAME", "NAMESPACE", "STATE", "IP", "AGE", "HANDLER"}, rows)));
  }
  return kExitOk;
}

}  // namespace

void AddPods(CLI::App& app, Work& chosen) {
  CLI::App* command = app.add_subcommand("pods", "list pods");
  auto options = std::make_shared<Options>();
  command->add_flag("-q,--quiet", options->quiet, "only their ids");
  command->callback([options, &chosen] {
    chosen = [options](Context& context) { return Pods(context, *options); };
  });
}

}  // namespace quoll::ctl
