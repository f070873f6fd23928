// SPDX-License-Identifier: Apache-2.0
#include "cri/dispatch.h"
#include "cri/grpc_services.h"
#include "cri/rpcs.h"
#include "proto/quoll/v1/operator.grpc.pb.h"

namespace quoll::cri {
namespace {

using grpc::ServerContext;

class OperatorService final : public opv1::Operator::Service {
 public:
  explicit OperatorService(const Backends& backends) : backends_(backends) {}

  grpc::Status LoadImage(ServerContext* context,
                         const opv1::LoadImageRequest* request,
                         opv1::LoadImageResponse* response) override {
    return Dispatch(Method{"LoadImage", CallKind::kChange},
                    &quoll::cri::LoadImage, backends_, *context, *request,
                    response);
  }

  grpc::Status Inspect(ServerContext* context,
                       const opv1::InspectRequest* request,
                       opv1::InspectResponse* response) override {
    return Dispatch(Method{"Inspect", CallKind::kRead}, &quoll::cri::Inspect,
                    backends_, *context, *request, response);
  }

 private:
  const Backends& backends_;
};

}  // namespace

std::unique_ptr<grpc::Service> MakeOperatorService(const Backends& backends) {
  return std::make_unique<OperatorService>(backends);
}

}  // namespace quoll::cri
