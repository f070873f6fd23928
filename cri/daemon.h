// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>

#include "absl/status/statusor.h"
#include "absl/time/time.h"

#include "cri/config.h"

namespace quoll::cri {

// quolld, put together: the one place where implementations meet interfaces.
//
//   directories -> quoll.db (one daemon only) -> event loop -> network,
//   monitors, runtimes, extensions -> Runtime::Recover -> images -> socket
//
// Containers, mounts and namespaces are not this object's: they outlive it.
class Daemon {
 public:
  // Recovers everything, then serves. FailedPrecondition when another quolld
  // uses the same state. Blocks for as long as recovery takes.
  static absl::StatusOr<std::unique_ptr<Daemon>> Start(const Config& config);
  ~Daemon();

  // Takes no new calls and waits for those that run, until the deadline.
  void Shutdown(absl::Time deadline);

 private:
  Daemon();
  struct Parts;
  std::unique_ptr<Parts> parts_;
};

}  // namespace quoll::cri
