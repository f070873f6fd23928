// SPDX-License-Identifier: Apache-2.0
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"

#include "ctl/command.h"
#include "ctl/pod_logs.h"
#include "ctl/print.h"
#include "ctl/run_options.h"
#include "ctl/table.h"
#include "os/random_id.h"
#include "os/status_macros.h"

namespace quoll::ctl {
namespace {

using RuntimeStub = criv1::RuntimeService::Stub;
using ImageStub = criv1::ImageService::Stub;
using Fields = std::vector<std::pair<std::string, std::string>>;

// Makes sure that the image is here, and returns its id.
absl::StatusOr<std::string> EnsureImage(Client& client,
                                        const RunOptions& options) {
  criv1::ImageStatusRequest look;
  look.mutable_image()->set_image(options.image);
  QUOLL_ASSIGN_OR_RETURN(
      const criv1::ImageStatusResponse found,
      client.Call(client.images(), &ImageStub::ImageStatus, look));
  if (found.has_image()) {
    return found.image().id();
  }
  if (!options.pull) {
    return absl::NotFoundError(
        absl::StrCat("image ", options.image,
                     " is not on this node: quollctl run --pull, "
                     "quollctl pull or quollctl load brings it"));
  }
  criv1::PullImageRequest request;
  request.mutable_image()->set_image(options.image);
  QUOLL_ASSIGN_OR_RETURN(const criv1::PullImageResponse pulled,
                         client.Call(client.images(), &ImageStub::PullImage,
                                     request, absl::InfiniteDuration()));
  return pulled.image_ref();
}

// A pod whose container cannot be made is of no use to anybody.
absl::Status Undo(Client& client, const std::string& pod,
                  const std::string& uid, const absl::Status& cause) {
  criv1::RemovePodSandboxRequest request;
  request.set_pod_sandbox_id(pod);
  absl::Status removed =
      client
          .Call(client.runtime(), &RuntimeStub::RemovePodSandbox, request,
                absl::Minutes(4))
          .status();
  removed.Update(RemovePodLogs(client.socket(), uid));
  if (removed.ok()) {
    return cause;
  }
  return absl::Status(cause.code(),
                      absl::StrCat(cause.message(), "; and the pod ", pod,
                                   " is left: ", removed.message()));
}

absl::StatusOr<std::string> StartContainer(
    Client& client, const criv1::CreateContainerRequest& request) {
  QUOLL_ASSIGN_OR_RETURN(
      const criv1::CreateContainerResponse created,
      client.Call(client.runtime(), &RuntimeStub::CreateContainer, request,
                  absl::Minutes(2)));
  criv1::StartContainerRequest start;
  start.set_container_id(created.container_id());
  QUOLL_RETURN_IF_ERROR(client
                            .Call(client.runtime(),
                                  &RuntimeStub::StartContainer, start,
                                  absl::Minutes(2))
                            .status());
  return created.container_id();
}

absl::Status Report(Context& context, const std::string& pod,
                    const std::string& container) {
  criv1::PodSandboxStatusRequest request;
  request.set_pod_sandbox_id(pod);
  QUOLL_ASSIGN_OR_RETURN(
      const criv1::PodSandboxStatusResponse status,
      context.client.Call(context.client.runtime(),
                          &RuntimeStub::PodSandboxStatus, request));
  const std::string& ip = status.status().network().ip();
  if (context.json) {
    return PrintJson(Fields{
        {"pod_sandbox_id", pod}, {"container_id", container}, {"ip", ip}});
  }
  return Print(absl::StrCat("pod        ", pod, "\ncontainer  ", container,
                            "\nip         ", ip.empty() ? "host" : ip, "\n"));
}

// CRI allows it, but then no name means anything to a person any more.
absl::Status CheckNameIsFree(Client& client, const RunOptions& options) {
  QUOLL_ASSIGN_OR_RETURN(
      const criv1::ListPodSandboxResponse pods,
      client.Call(client.runtime(), &RuntimeStub::ListPodSandbox,
                  criv1::ListPodSandboxRequest()));
  for (const criv1::PodSandbox& pod : pods.items()) {
    if (pod.metadata().name() == options.name &&
        pod.metadata().namespace_() == options.name_space) {
      return absl::AlreadyExistsError(absl::StrCat(
          "there is a pod ", options.name, " in namespace ", options.name_space,
          " (", ShortId(pod.id()), "): give another --name, or quollctl rm -f ",
          ShortId(pod.id())));
    }
  }
  return absl::OkStatus();
}

absl::StatusOr<int> Run(Context& context, const RunOptions& options) {
  Client& client = context.client;
  // Everything that can be wrong with the command line, before anything is
  // made.
  const std::string uid = NewPodUid();
  const absl::StatusOr<criv1::PodSandboxConfig> pod_config =
      ToPodConfig(options, uid, PodLogDirectory(client.socket(), uid));
  const absl::StatusOr<criv1::ContainerConfig> container_config =
      ToContainerConfig(options, context.words);
  for (const absl::Status& status :
       {pod_config.status(), container_config.status()}) {
    if (!status.ok()) {
      return UsageError(status.message());
    }
  }
  QUOLL_RETURN_IF_ERROR(CheckNameIsFree(client, options));
  criv1::RunPodSandboxRequest pod_request;
  *pod_request.mutable_config() = *pod_config;
  pod_request.set_runtime_handler(options.handler);
  criv1::CreateContainerRequest request;
  *request.mutable_config() = *container_config;
  *request.mutable_sandbox_config() = pod_request.config();

  QUOLL_ASSIGN_OR_RETURN(const std::string image, EnsureImage(client, options));
  // By id from here on: the name may be given to another image meanwhile.
  request.mutable_config()->mutable_image()->set_image(image);
  request.mutable_config()->mutable_image()->set_user_specified_image(
      options.image);
  QUOLL_ASSIGN_OR_RETURN(
      const criv1::RunPodSandboxResponse pod,
      client.Call(client.runtime(), &RuntimeStub::RunPodSandbox, pod_request,
                  absl::Minutes(4)));
  request.set_pod_sandbox_id(pod.pod_sandbox_id());
  const absl::StatusOr<std::string> container = StartContainer(client, request);
  if (!container.ok()) {
    return Undo(client, pod.pod_sandbox_id(), uid, container.status());
  }
  QUOLL_RETURN_IF_ERROR(Report(context, pod.pod_sandbox_id(), *container));
  return kExitOk;
}

}  // namespace

void AddRun(CLI::App& app, Work& chosen) {
  CLI::App* command =
      app.add_subcommand("run", "start a pod with one container");
  auto options = std::make_shared<RunOptions>();
  command->add_option("IMAGE", options->image, "a name or id")->required();
  command->add_option("--name", options->name,
                      "of pod and container (drawn when not given)");
  command->add_option("--namespace", options->name_space, "of the pod")
      ->capture_default_str();
  command->add_flag("--host-network", options->host_network,
                    "no network of its own");
  command->add_option("--port", options->ports, "HOSTPORT:PORT[/udp|/sctp]")
      ->allow_extra_args(false);
  command->add_option("--env", options->env, "NAME=VALUE")
      ->allow_extra_args(false);
  command->add_option("--mount", options->mounts, "HOSTPATH:PATH[:ro]")
      ->allow_extra_args(false);
  command->add_option("-t,--handler", options->handler,
                      "runtime handler: runc, crun, ...");
  command->add_flag("--pull", options->pull,
                    "fetch the image when it is not here");
  // Everything behind the image is the command's, options included.
  command->prefix_command();
  command->footer("COMMAND [ARG...] may follow the image.");
  command->callback([options, &chosen] {
    if (options->name.empty()) {
      options->name = absl::StrCat("pod-", os::RandomHexId(4));
    }
    chosen = [options](Context& context) { return Run(context, *options); };
  });
}

}  // namespace quoll::ctl
