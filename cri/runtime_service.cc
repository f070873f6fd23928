// SPDX-License-Identifier: Apache-2.0
#include "cri/dispatch.h"
#include "cri/grpc_services.h"
#include "cri/rpcs.h"
#include "cri/stream_batches.h"
#include "os/status_macros.h"
#include "proto/runtime/v1/api.grpc.pb.h"

namespace quoll::cri {
namespace {

using grpc::ServerContext;
using grpc::ServerWriter;

// A method that rpcs.h implements.
#define QUOLL_UNARY(Method, kind)                                            \
  grpc::Status Method(ServerContext* context,                                \
                      const criv1::Method##Request* request,                 \
                      criv1::Method##Response* response) override {          \
    return Dispatch<criv1::Method##Request, criv1::Method##Response>(        \
        {#Method, kind}, &quoll::cri::Method, backends_, *context, *request, \
        response);                                                           \
  }

// Methods that later versions build; `what` completes "has no ...".
#define QUOLL_LATER(Method, what)                                    \
  grpc::Status Method(ServerContext*, const criv1::Method##Request*, \
                      criv1::Method##Response*) override {           \
    return NotBuiltYet(#Method, what);                               \
  }
#define QUOLL_LATER_STREAM(Method, Request, Response, what)      \
  grpc::Status Method(ServerContext*, const criv1::Request*,     \
                      ServerWriter<criv1::Response>*) override { \
    return NotBuiltYet(#Method, what);                           \
  }

class RuntimeService final : public criv1::RuntimeService::Service {
 public:
  explicit RuntimeService(const Backends& backends) : backends_(backends) {}

  QUOLL_UNARY(Version, CallKind::kRead)
  QUOLL_UNARY(Status, CallKind::kRead)
  QUOLL_UNARY(RuntimeConfig, CallKind::kRead)
  QUOLL_UNARY(UpdateRuntimeConfig, CallKind::kChange)

  QUOLL_UNARY(RunPodSandbox, CallKind::kChange)
  QUOLL_UNARY(StopPodSandbox, CallKind::kChange)
  QUOLL_UNARY(RemovePodSandbox, CallKind::kChange)
  QUOLL_UNARY(PodSandboxStatus, CallKind::kRead)
  QUOLL_UNARY(ListPodSandbox, CallKind::kRead)

  QUOLL_UNARY(CreateContainer, CallKind::kChange)
  QUOLL_UNARY(StartContainer, CallKind::kChange)
  QUOLL_UNARY(StopContainer, CallKind::kChange)
  QUOLL_UNARY(RemoveContainer, CallKind::kChange)
  QUOLL_UNARY(ContainerStatus, CallKind::kRead)
  QUOLL_UNARY(ListContainers, CallKind::kRead)
  // A probe runs every few seconds in every pod: not worth a line each.
  QUOLL_UNARY(ExecSync, CallKind::kRead)
  QUOLL_UNARY(ReopenContainerLog, CallKind::kChange)

  grpc::Status StreamPodSandboxes(
      ServerContext* context, const criv1::StreamPodSandboxesRequest* request,
      ServerWriter<criv1::StreamPodSandboxesResponse>* writer) override {
    return RunLogged(
        "StreamPodSandboxes", CallKind::kRead, "", [&]() -> absl::Status {
          criv1::ListPodSandboxRequest list;
          *list.mutable_filter() = request->filter();
          criv1::ListPodSandboxResponse all;
          QUOLL_RETURN_IF_ERROR(quoll::cri::ListPodSandbox(
              backends_, ToCall(*context), list, &all));
          return SendInBatches(
              *all.mutable_items(),
              &criv1::StreamPodSandboxesResponse::mutable_pod_sandboxes,
              writer);
        });
  }

  grpc::Status StreamContainers(
      ServerContext* context, const criv1::StreamContainersRequest* request,
      ServerWriter<criv1::StreamContainersResponse>* writer) override {
    return RunLogged(
        "StreamContainers", CallKind::kRead, "", [&]() -> absl::Status {
          criv1::ListContainersRequest list;
          *list.mutable_filter() = request->filter();
          criv1::ListContainersResponse all;
          QUOLL_RETURN_IF_ERROR(quoll::cri::ListContainers(
              backends_, ToCall(*context), list, &all));
          return SendInBatches(
              *all.mutable_containers(),
              &criv1::StreamContainersResponse::mutable_containers, writer);
        });
  }

  QUOLL_LATER(Exec, "streaming server; ExecSync runs a command without one")
  QUOLL_LATER(Attach, "streaming server")
  QUOLL_LATER(PortForward, "streaming server")
  QUOLL_LATER(UpdateContainerResources, "resizing of containers")
  QUOLL_LATER(UpdatePodSandboxResources, "resizing of pods")
  QUOLL_LATER(ContainerStats, "statistics")
  QUOLL_LATER(ListContainerStats, "statistics")
  QUOLL_LATER(PodSandboxStats, "statistics")
  QUOLL_LATER(ListPodSandboxStats, "statistics")
  QUOLL_LATER(ListMetricDescriptors, "metrics")
  QUOLL_LATER(ListPodSandboxMetrics, "metrics")
  QUOLL_LATER(CheckpointContainer, "checkpoints")
  QUOLL_LATER(CheckpointPod, "checkpoints")
  QUOLL_LATER(RestorePod, "checkpoints")
  QUOLL_LATER_STREAM(StreamContainerStats, StreamContainerStatsRequest,
                     StreamContainerStatsResponse, "statistics")
  QUOLL_LATER_STREAM(StreamPodSandboxStats, StreamPodSandboxStatsRequest,
                     StreamPodSandboxStatsResponse, "statistics")
  QUOLL_LATER_STREAM(StreamPodSandboxMetrics, StreamPodSandboxMetricsRequest,
                     StreamPodSandboxMetricsResponse, "metrics")
  QUOLL_LATER_STREAM(GetContainerEvents, GetEventsRequest,
                     ContainerEventResponse, "container events")

 private:
  const Backends& backends_;
};

#undef QUOLL_UNARY
#undef QUOLL_LATER
#undef QUOLL_LATER_STREAM

}  // namespace

std::unique_ptr<grpc::Service> MakeRuntimeService(const Backends& backends) {
  return std::make_unique<RuntimeService>(backends);
}

}  // namespace quoll::cri
