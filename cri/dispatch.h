// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include <grpcpp/server_context.h>
#include <grpcpp/support/status.h>

#include "cri/backends.h"
#include "os/call.h"

// From a gRPC method to its function in rpcs.h: the same few steps for each of
// the fifty.
namespace quoll::cri {

enum class CallKind {
  kRead,    // logged at debug: the kubelet makes dozens a second
  kChange,  // logged at info
};

// The caller's deadline, and whether it is still there. The context must
// outlive the result.
os::Call ToCall(const grpc::ServerContext& context);

// Runs `work` under a request id of its own, logs one line with how long it
// took and how it ended, and converts the result.
grpc::Status RunLogged(absl::string_view method, CallKind kind,
                       const std::string& object,
                       absl::FunctionRef<absl::Status()> work);

// The refusal of an RPC that this version does not have. The kubelet and crictl
// treat UNIMPLEMENTED as "use another way"; people read the sentence: "METHOD:
// not built yet: this version of quolld has no WHAT".
grpc::Status NotBuiltYet(absl::string_view method, absl::string_view what);

// What a request is about, for the log: "container 3f2a...", "image nginx".
// Never anything that could hold a secret.
template <typename Request>
std::string ObjectOf(const Request& request) {
  if constexpr (requires { request.config().metadata().namespace_(); }) {
    return absl::StrCat("pod ", request.config().metadata().namespace_(), "/",
                        request.config().metadata().name());
  } else if constexpr (requires { request.config().metadata(); }) {
    return absl::StrCat("container ", request.config().metadata().name(),
                        " in sandbox ", request.pod_sandbox_id());
  } else if constexpr (requires { request.container_id(); }) {
    return absl::StrCat("container ", request.container_id());
  } else if constexpr (requires { request.pod_sandbox_id(); }) {
    return absl::StrCat("sandbox ", request.pod_sandbox_id());
  } else if constexpr (requires { request.image().image(); }) {
    return absl::StrCat("image ", request.image().image());
  } else if constexpr (requires { request.path(); }) {
    return absl::StrCat("file ", request.path());
  } else if constexpr (requires { request.id(); }) {
    return absl::StrCat("id ", request.id());
  } else {
    return "";
  }
}

template <typename Request, typename Response>
using Rpc = absl::Status (*)(const Backends&, const os::Call&, const Request&,
                             Response*);

// A gRPC method, as the log shows it.
struct Method {
  absl::string_view name;
  CallKind kind;
};

template <typename Request, typename Response>
grpc::Status Dispatch(const Method& method, Rpc<Request, Response> rpc,
                      const Backends& backends,
                      const grpc::ServerContext& context,
                      const Request& request, Response* response) {
  return RunLogged(method.name, method.kind, ObjectOf(request),
                   [&]() -> absl::Status {
                     return rpc(backends, ToCall(context), request, response);
                   });
}

}  // namespace quoll::cri
