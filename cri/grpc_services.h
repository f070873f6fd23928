// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>

#include <grpcpp/impl/codegen/service_type.h>

#include "cri/backends.h"

// The three services that the socket serves. They hold nothing but the
// references in `backends`, are called from many threads at once, and dispatch
// every method to its function in rpcs.h.
namespace quoll::cri {

// runtime.v1.RuntimeService
std::unique_ptr<grpc::Service> MakeRuntimeService(const Backends& backends);
// runtime.v1.ImageService
std::unique_ptr<grpc::Service> MakeImageService(const Backends& backends);
// quoll.v1.Operator
std::unique_ptr<grpc::Service> MakeOperatorService(const Backends& backends);

}  // namespace quoll::cri
