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

class ImageRpcService final : public criv1::ImageService::Service {
 public:
  explicit ImageRpcService(const Backends& backends) : backends_(backends) {}

  QUOLL_UNARY(ListImages, CallKind::kRead)
  QUOLL_UNARY(ImageStatus, CallKind::kRead)
  QUOLL_UNARY(ImageFsInfo, CallKind::kRead)
  QUOLL_UNARY(PullImage, CallKind::kChange)
  QUOLL_UNARY(RemoveImage, CallKind::kChange)

  grpc::Status StreamImages(
      ServerContext* context, const criv1::StreamImagesRequest* request,
      ServerWriter<criv1::StreamImagesResponse>* writer) override {
    return RunLogged(
        "StreamImages", CallKind::kRead, "", [&]() -> absl::Status {
          criv1::ListImagesRequest list;
          *list.mutable_filter() = request->filter();
          criv1::ListImagesResponse all;
          QUOLL_RETURN_IF_ERROR(
              quoll::cri::ListImages(backends_, ToCall(*context), list, &all));
          return SendInBatches(*all.mutable_images(),
                               &criv1::StreamImagesResponse::mutable_images,
                               writer);
        });
  }

 private:
  const Backends& backends_;
};

#undef QUOLL_UNARY

}  // namespace

std::unique_ptr<grpc::Service> MakeImageService(const Backends& backends) {
  return std::make_unique<ImageRpcService>(backends);
}

}  // namespace quoll::cri
