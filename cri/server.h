// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "absl/time/time.h"

#include "cri/backends.h"

namespace quoll::cri {

// The gRPC server: three services on one unix socket (mode 0660, root).
// Destroying it without Shutdown() cancels the calls that run and waits for
// their handlers.
class Server {
 public:
  // `socket` is an absolute path in a directory that exists. A socket that a
  // dead daemon left is replaced; FailedPrecondition when somebody answers on
  // it, or when the path is something else. Serves when it returns.
  static absl::StatusOr<std::unique_ptr<Server>> Start(
      const std::string& socket, const Backends& backends);
  ~Server();

  // Takes no new calls, waits for those that run until the deadline, then
  // cancels them and waits for their handlers.
  void Shutdown(absl::Time deadline);

 private:
  Server();
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace quoll::cri
