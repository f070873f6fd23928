// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "absl/status/status.h"
#include "absl/types/span.h"

#include "cri/backends.h"
#include "os/call.h"
#include "proto/quoll/v1/operator.pb.h"
#include "proto/runtime/v1/api.pb.h"

// One function per RPC, each in a file of its own (run_pod_sandbox.cc, ...),
// free of gRPC: the services in runtime_service.cc, image_rpc_service.cc and
// operator_service.cc only dispatch to them. An error that an RPC returns is
// what the client reads; context that the request's own id gives is added here,
// once.
namespace quoll::cri {

namespace criv1 = ::runtime::v1;
namespace opv1 = ::quoll::v1;

#define QUOLL_DECLARE_RPC(Method)                                     \
  absl::Status Method(const Backends& backends, const os::Call& call, \
                      const criv1::Method##Request& request,          \
                      criv1::Method##Response* response)

// The node.
QUOLL_DECLARE_RPC(Version);
QUOLL_DECLARE_RPC(Status);
QUOLL_DECLARE_RPC(RuntimeConfig);
QUOLL_DECLARE_RPC(UpdateRuntimeConfig);

// Sandboxes.
QUOLL_DECLARE_RPC(RunPodSandbox);
QUOLL_DECLARE_RPC(StopPodSandbox);
QUOLL_DECLARE_RPC(RemovePodSandbox);
QUOLL_DECLARE_RPC(PodSandboxStatus);
QUOLL_DECLARE_RPC(ListPodSandbox);

// Containers.
QUOLL_DECLARE_RPC(CreateContainer);
QUOLL_DECLARE_RPC(StartContainer);
QUOLL_DECLARE_RPC(StopContainer);
QUOLL_DECLARE_RPC(RemoveContainer);
QUOLL_DECLARE_RPC(ContainerStatus);
QUOLL_DECLARE_RPC(ListContainers);
QUOLL_DECLARE_RPC(ExecSync);
QUOLL_DECLARE_RPC(ReopenContainerLog);

// Images.
QUOLL_DECLARE_RPC(PullImage);
QUOLL_DECLARE_RPC(RemoveImage);
QUOLL_DECLARE_RPC(ImageStatus);
QUOLL_DECLARE_RPC(ListImages);
QUOLL_DECLARE_RPC(ImageFsInfo);

#undef QUOLL_DECLARE_RPC

// The operator's.
absl::Status LoadImage(const Backends& backends, const os::Call& call,
                       const opv1::LoadImageRequest& request,
                       opv1::LoadImageResponse* response);
absl::Status Inspect(const Backends& backends, const os::Call& call,
                     const opv1::InspectRequest& request,
                     opv1::InspectResponse* response);

}  // namespace quoll::cri
