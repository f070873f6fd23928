// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include <grpcpp/server.h>
#include <grpcpp/server_builder.h>

#include "proto/quoll/v1/operator.grpc.pb.h"
#include "proto/runtime/v1/api.grpc.pb.h"

namespace quoll::ctl {

namespace criv1 = ::runtime::v1;
namespace opv1 = ::quoll::v1;

// A daemon of a few lists on a unix socket, for tests of quollctl's commands.
// Public members are set before a command runs; it writes down the calls that
// change something, and answers `errors["Method"]` where there is one.
class FakeDaemon : private criv1::RuntimeService::Service,
                   private criv1::ImageService::Service,
                   private opv1::Operator::Service {
 public:
  explicit FakeDaemon(const std::string& socket) {
    grpc::ServerBuilder builder;
    builder.AddListeningPort("unix:" + socket,
                             grpc::InsecureServerCredentials());
    builder.RegisterService(static_cast<criv1::RuntimeService::Service*>(this));
    builder.RegisterService(static_cast<criv1::ImageService::Service*>(this));
    builder.RegisterService(static_cast<opv1::Operator::Service*>(this));
    server_ = builder.BuildAndStart();
  }
  ~FakeDaemon() override { server_->Shutdown(); }

  criv1::PodSandbox* AddPod(const std::string& id, const std::string& name) {
    criv1::PodSandbox* pod = pods.add_items();
    pod->set_id(id);
    pod->mutable_metadata()->set_name(name);
    pod->mutable_metadata()->set_namespace_("default");
    return pod;
  }
  criv1::ContainerStatus* AddContainer(const std::string& id,
                                       const std::string& name,
                                       const std::string& pod) {
    criv1::Container* container = containers.add_containers();
    container->set_id(id);
    container->set_pod_sandbox_id(pod);
    container->mutable_metadata()->set_name(name);
    container->mutable_image()->set_image("busybox:latest");
    container->set_state(criv1::CONTAINER_RUNNING);
    criv1::ContainerStatus& status = statuses[id];
    status.set_id(id);
    status.set_state(criv1::CONTAINER_RUNNING);
    return &status;
  }

  std::vector<std::string> calls() const {
    absl::MutexLock lock(&mutex_);
    return calls_;
  }

  criv1::ListPodSandboxResponse pods;
  criv1::ListContainersResponse containers;
  criv1::ListImagesResponse images;
  std::map<std::string, criv1::ContainerStatus> statuses;
  criv1::StatusResponse status;
  criv1::ExecSyncResponse exec;
  opv1::LoadImageResponse loaded;
  std::string pod_ip = "10.0.0.2";
  std::map<std::string, grpc::Status> errors;
  // What happens while a log is followed: called with every look at a
  // container.
  std::function<void(criv1::ContainerStatus&)> on_look;
  criv1::RunPodSandboxRequest pod_request;
  criv1::CreateContainerRequest container_request;

 private:
  using Context = grpc::ServerContext;

  grpc::Status Answer(const std::string& method, const std::string& words) {
    absl::MutexLock lock(&mutex_);
    calls_.push_back(absl::StrCat(method, " ", words));
    return errors[method];
  }

  grpc::Status Version(Context*, const criv1::VersionRequest*,
                       criv1::VersionResponse* out) override {
    out->set_runtime_name("quoll");
    out->set_runtime_version("9.9");
    out->set_runtime_api_version("v1");
    return grpc::Status::OK;
  }
  grpc::Status Status(Context*, const criv1::StatusRequest*,
                      criv1::StatusResponse* out) override {
    *out = status;
    return grpc::Status::OK;
  }
  grpc::Status ListPodSandbox(Context*, const criv1::ListPodSandboxRequest*,
                              criv1::ListPodSandboxResponse* out) override {
    *out = pods;
    return grpc::Status::OK;
  }
  grpc::Status PodSandboxStatus(Context*,
                                const criv1::PodSandboxStatusRequest* request,
                                criv1::PodSandboxStatusResponse* out) override {
    for (const criv1::PodSandbox& pod : pods.items()) {
      if (pod.id() == request->pod_sandbox_id()) {
        out->mutable_status()->set_state(pod.state());
        *out->mutable_status()->mutable_metadata() = pod.metadata();
      }
    }
    out->mutable_status()->mutable_network()->set_ip(pod_ip);
    return errors["PodSandboxStatus"];
  }
  grpc::Status RunPodSandbox(Context*,
                             const criv1::RunPodSandboxRequest* request,
                             criv1::RunPodSandboxResponse* out) override {
    pod_request = *request;
    out->set_pod_sandbox_id("newpod");
    return Answer("RunPodSandbox", request->config().metadata().name());
  }
  grpc::Status StopPodSandbox(Context*,
                              const criv1::StopPodSandboxRequest* request,
                              criv1::StopPodSandboxResponse*) override {
    return Answer("StopPodSandbox", request->pod_sandbox_id());
  }
  grpc::Status RemovePodSandbox(Context*,
                                const criv1::RemovePodSandboxRequest* request,
                                criv1::RemovePodSandboxResponse*) override {
    return Answer("RemovePodSandbox", request->pod_sandbox_id());
  }
  grpc::Status ListContainers(Context*,
                              const criv1::ListContainersRequest* request,
                              criv1::ListContainersResponse* out) override {
    for (const criv1::Container& container : containers.containers()) {
      const criv1::ContainerFilter& filter = request->filter();
      if ((!filter.has_state() ||
           filter.state().state() == container.state()) &&
          (filter.pod_sandbox_id().empty() ||
           filter.pod_sandbox_id() == container.pod_sandbox_id())) {
        *out->add_containers() = container;
      }
    }
    return grpc::Status::OK;
  }
  grpc::Status ContainerStatus(Context*,
                               const criv1::ContainerStatusRequest* request,
                               criv1::ContainerStatusResponse* out) override {
    const auto found = statuses.find(request->container_id());
    if (found == statuses.end()) {
      return {grpc::StatusCode::NOT_FOUND, "no such container"};
    }
    if (on_look) {
      on_look(found->second);
    }
    *out->mutable_status() = found->second;
    return grpc::Status::OK;
  }
  grpc::Status CreateContainer(Context*,
                               const criv1::CreateContainerRequest* request,
                               criv1::CreateContainerResponse* out) override {
    container_request = *request;
    out->set_container_id("newcontainer");
    return Answer("CreateContainer", request->config().image().image());
  }
  grpc::Status StartContainer(Context*,
                              const criv1::StartContainerRequest* request,
                              criv1::StartContainerResponse*) override {
    return Answer("StartContainer", request->container_id());
  }
  grpc::Status StopContainer(Context*,
                             const criv1::StopContainerRequest* request,
                             criv1::StopContainerResponse*) override {
    return Answer("StopContainer", absl::StrCat(request->container_id(), " ",
                                                request->timeout()));
  }
  grpc::Status RemoveContainer(Context*,
                               const criv1::RemoveContainerRequest* request,
                               criv1::RemoveContainerResponse*) override {
    return Answer("RemoveContainer", request->container_id());
  }
  grpc::Status ExecSync(Context*, const criv1::ExecSyncRequest* request,
                        criv1::ExecSyncResponse* out) override {
    *out = exec;
    std::string words = request->container_id();
    for (const std::string& word : request->cmd()) {
      absl::StrAppend(&words, " ", word);
    }
    return Answer("ExecSync", words);
  }

  grpc::Status ListImages(Context*, const criv1::ListImagesRequest*,
                          criv1::ListImagesResponse* out) override {
    *out = images;
    return grpc::Status::OK;
  }
  grpc::Status ImageStatus(Context*, const criv1::ImageStatusRequest* request,
                           criv1::ImageStatusResponse* out) override {
    for (const criv1::Image& image : images.images()) {
      for (const std::string& tag : image.repo_tags()) {
        if (tag == request->image().image()) {
          *out->mutable_image() = image;
        }
      }
    }
    return grpc::Status::OK;
  }
  grpc::Status PullImage(Context*, const criv1::PullImageRequest* request,
                         criv1::PullImageResponse* out) override {
    out->set_image_ref("sha256:pulled");
    return Answer("PullImage", request->image().image());
  }
  grpc::Status RemoveImage(Context*, const criv1::RemoveImageRequest* request,
                           criv1::RemoveImageResponse*) override {
    return Answer("RemoveImage", request->image().image());
  }

  grpc::Status LoadImage(Context*, const opv1::LoadImageRequest* request,
                         opv1::LoadImageResponse* out) override {
    *out = loaded;
    return Answer("LoadImage",
                  absl::StrCat(request->path(), " ", request->name()));
  }
  grpc::Status Inspect(Context*, const opv1::InspectRequest* request,
                       opv1::InspectResponse* out) override {
    out->set_json(absl::StrCat("{\"id\": \"", request->id(), "\"}"));
    return grpc::Status::OK;
  }

  mutable absl::Mutex mutex_;
  std::vector<std::string> calls_ ABSL_GUARDED_BY(mutex_);
  std::unique_ptr<grpc::Server> server_;
};

}  // namespace quoll::ctl
