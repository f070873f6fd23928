// SPDX-License-Identifier: Apache-2.0
#include "ctl/client.h"

#include <errno.h>
#include <unistd.h>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include <grpcpp/channel.h>
#include <grpcpp/create_channel.h>
#include <grpcpp/security/credentials.h>
#include <grpcpp/support/channel_arguments.h>

namespace quoll::ctl {

Client::Client(const std::string& socket) : socket_(socket) {
  grpc::ChannelArguments arguments;
  arguments.SetMaxReceiveMessageSize(16 << 20);
  // gRPC would send $http_proxy a unix socket's name.
  arguments.SetInt(GRPC_ARG_ENABLE_HTTP_PROXY, 0);
  const std::shared_ptr<grpc::Channel> channel =
      grpc::CreateCustomChannel(absl::StrCat("unix:", socket),
                                grpc::InsecureChannelCredentials(), arguments);
  runtime_ = criv1::RuntimeService::NewStub(channel);
  images_ = criv1::ImageService::NewStub(channel);
  operations_ = opv1::Operator::NewStub(channel);
}

absl::Status Client::Run(
    const std::function<grpc::Status(grpc::ClientContext*)>& call,
    absl::Duration timeout) const {
  // gRPC's own words for these two are about name resolution.
  if (access(socket_.c_str(), W_OK) != 0) {
    if (errno == EACCES) {
      return absl::PermissionDeniedError(
          absl::StrCat("no permission for ", socket_, ": try as root"));
    }
    return absl::UnavailableError(
        absl::StrCat("there is no socket ", socket_,
                     ": is quolld running? (--socket names another one)"));
  }
  grpc::ClientContext context;
  if (timeout != absl::InfiniteDuration()) {
    context.set_deadline(absl::ToChronoTime(absl::Now() + timeout));
  }
  const grpc::Status status = call(&context);
  if (status.ok()) {
    return absl::OkStatus();
  }
  if (status.error_code() == grpc::StatusCode::UNAVAILABLE) {
    return absl::UnavailableError(
        absl::StrCat("quolld does not answer on ", socket_, " (",
                     status.error_message(), "): is it running? See its log"));
  }
  if (status.error_code() == grpc::StatusCode::DEADLINE_EXCEEDED &&
      status.error_message() == "Deadline Exceeded") {
    return absl::DeadlineExceededError(absl::StrCat(
        "quolld has not answered within ", absl::FormatDuration(timeout)));
  }
  return absl::Status(static_cast<absl::StatusCode>(status.error_code()),
                      status.error_message());
}

}  // namespace quoll::ctl
