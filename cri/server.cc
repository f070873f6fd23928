// SPDX-License-Identifier: Apache-2.0
#include "cri/server.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "absl/status/status.h"
#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/string_view.h"
#include "absl/time/clock.h"
#include <grpcpp/security/server_credentials.h>
#include <grpcpp/server.h>
#include <grpcpp/server_builder.h>

#include "cri/grpc_services.h"
#include "os/status_macros.h"
#include "os/unique_fd.h"

#include <grpc/grpc.h>

namespace quoll::cri {
namespace {

// The kubelet's own limit for one message; an ExecSync answer stays below it.
constexpr int kMaxMessageBytes = 16 << 20;

absl::StatusOr<sockaddr_un> SocketAddress(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof(address.sun_path)) {
    return absl::InvalidArgumentError(absl::StrCat(
        "socket ", path, " has ", path.size(), " characters; Linux allows ",
        sizeof(address.sun_path) - 1, ": choose a shorter run_dir or socket"));
  }
  memcpy(address.sun_path, path.data(), path.size());
  return address;
}

// Removes what a dead daemon left. A living one is recognised by its answer:
// the lock on the store only proves that nobody else uses *our* store.
absl::Status RemoveStale(const std::string& path) {
  QUOLL_ASSIGN_OR_RETURN(const sockaddr_un address, SocketAddress(path));
  struct stat info {};
  if (lstat(path.c_str(), &info) != 0) {
    return errno == ENOENT
               ? absl::OkStatus()
               : absl::ErrnoToStatus(errno, absl::StrCat("socket ", path));
  }
  if (!S_ISSOCK(info.st_mode)) {
    return absl::FailedPreconditionError(
        absl::StrCat("socket ", path,
                     ": there is something else at this path; move it "
                     "away or configure another socket"));
  }
  const os::UniqueFd probe(
      socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!probe.valid()) {
    return absl::ErrnoToStatus(errno, "socket");
  }
  if (connect(probe.get(), reinterpret_cast<const sockaddr*>(&address),
              sizeof(address)) == 0 ||
      errno == EAGAIN) {  // its backlog is full
    return absl::FailedPreconditionError(
        absl::StrCat("socket ", path,
                     ": another process serves on it; stop it or configure "
                     "another socket"));
  }
  if (unlink(path.c_str()) != 0 && errno != ENOENT) {
    return absl::ErrnoToStatus(errno, absl::StrCat("remove socket ", path));
  }
  return absl::OkStatus();
}

// gRPC takes an address as a URI (RFC 3986) and decodes it again.
std::string SocketUri(absl::string_view path) {
  std::string uri = "unix://";
  for (const char c : path) {
    if (absl::ascii_isalnum(c) || absl::StrContains("/-._~", c)) {
      uri += c;
    } else {
      absl::StrAppendFormat(&uri, "%%%02X", static_cast<unsigned char>(c));
    }
  }
  return uri;
}

}  // namespace

struct Server::Impl {
  // After the server, in destruction order: it refers to them.
  std::unique_ptr<grpc::Service> runtime;
  std::unique_ptr<grpc::Service> images;
  std::unique_ptr<grpc::Service> operations;
  std::unique_ptr<grpc::Server> server;
};

Server::Server() : impl_(std::make_unique<Impl>()) {}

Server::~Server() {
  // gRPC's own destructor would wait for calls that run, however long.
  if (impl_->server != nullptr) {
    Shutdown(absl::Now());
  }
}

absl::StatusOr<std::unique_ptr<Server>> Server::Start(
    const std::string& socket, const Backends& backends) {
  QUOLL_RETURN_IF_ERROR(RemoveStale(socket));
  std::unique_ptr<Server> self(new Server());
  Impl& impl = *self->impl_;
  impl.runtime = MakeRuntimeService(backends);
  impl.images = MakeImageService(backends);
  impl.operations = MakeOperatorService(backends);

  grpc::ServerBuilder builder;
  // One completion queue with few standing threads keeps an idle daemon small;
  // more threads come with concurrent calls and are never refused (a thread
  // quota would reject calls instead of queueing them).
  builder.SetSyncServerOption(grpc::ServerBuilder::NUM_CQS, 1);
  builder.SetSyncServerOption(grpc::ServerBuilder::MIN_POLLERS, 1);
  builder.SetSyncServerOption(grpc::ServerBuilder::MAX_POLLERS, 2);
  builder.SetMaxReceiveMessageSize(kMaxMessageBytes);
  builder.SetMaxSendMessageSize(kMaxMessageBytes);
  // SO_REUSEPORT means nothing to a unix socket.
  builder.AddChannelArgument(GRPC_ARG_ALLOW_REUSEPORT, 0);
  int listening = 0;
  builder.AddListeningPort(SocketUri(socket), grpc::InsecureServerCredentials(),
                           &listening);
  builder.RegisterService(impl.runtime.get());
  builder.RegisterService(impl.images.get());
  builder.RegisterService(impl.operations.get());
  impl.server = builder.BuildAndStart();
  if (impl.server == nullptr || listening == 0) {
    return absl::UnavailableError(
        absl::StrCat("socket ", socket,
                     ": gRPC cannot listen on it; its own words are in "
                     "the lines above"));
  }
  // bind(2) has made it with the umask applied, so it is never wider than this
  // for a moment: connecting needs the write permission.
  if (chmod(socket.c_str(), 0660) != 0) {
    return absl::ErrnoToStatus(errno, absl::StrCat("chmod socket ", socket));
  }
  return self;
}

void Server::Shutdown(absl::Time deadline) {
  impl_->server->Shutdown(absl::ToChronoTime(deadline));
  impl_->server->Wait();
}

}  // namespace quoll::cri
