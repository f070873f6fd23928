// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include <grpcpp/client_context.h>

#include "proto/quoll/v1/operator.grpc.pb.h"
#include "proto/runtime/v1/api.grpc.pb.h"

namespace quoll::ctl {

namespace criv1 = ::runtime::v1;
namespace opv1 = ::quoll::v1;

// How long a call waits for the daemon where nothing says otherwise.
inline constexpr absl::Duration kCallTimeout = absl::Seconds(60);

// The daemon's three services on one socket. Connects with the first call. One
// thread at a time.
class Client {
 public:
  explicit Client(const std::string& socket);

  criv1::RuntimeService::Stub& runtime() { return *runtime_; }
  criv1::ImageService::Stub& images() { return *images_; }
  opv1::Operator::Stub& operations() { return *operations_; }

  // Makes one call: Call(client.runtime(), &Stub::ListContainers, request).
  // Errors keep the daemon's code and words; one that cannot be reached is
  // Unavailable and says what to look at.
  template <typename Stub, typename Request, typename Response>
  absl::StatusOr<Response> Call(
      Stub& stub,
      grpc::Status (Stub::*method)(grpc::ClientContext*, const Request&,
                                   Response*),
      const Request& request, absl::Duration timeout = kCallTimeout) {
    Response response;
    const absl::Status status = Run(
        [&](grpc::ClientContext* context) {
          return (stub.*method)(context, request, &response);
        },
        timeout);
    if (!status.ok()) {
      return status;
    }
    return response;
  }

  const std::string& socket() const { return socket_; }

 private:
  absl::Status Run(
      const std::function<grpc::Status(grpc::ClientContext*)>& call,
      absl::Duration timeout) const;

  const std::string socket_;
  std::unique_ptr<criv1::RuntimeService::Stub> runtime_;
  std::unique_ptr<criv1::ImageService::Stub> images_;
  std::unique_ptr<opv1::Operator::Stub> operations_;
};

}  // namespace quoll::ctl
