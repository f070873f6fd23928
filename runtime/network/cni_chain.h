// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"

#include "runtime/network/cni_network.h"
#include "runtime/network/cni_plugin_runner.h"
#include "runtime/types.h"

namespace quoll::runtime {

// Runs the plugins of one attachment's network one after another. Everything
// comes from the attachment's record, so a chain that was begun goes on with
// its own configuration, whatever has become of the directory since. Keeps no
// state; thread-safe; blocks until the deadline at most.
class CniChain {
 public:
  explicit CniChain(CniPluginRunner& plugins) : plugins_(plugins) {}

  // The last plugin's result. On error some plugins may have run: Delete().
  absl::StatusOr<std::string> Add(const NetworkAttachment& attachment,
                                  absl::Time deadline) const;

  // In reverse order, ended by the first error, as the spec has it: a plugin
  // may count on those that were added before it. The caller repeats the whole.
  absl::Status Delete(const NetworkAttachment& attachment,
                      absl::Time deadline) const;

  // OK without asking when the network has CHECK disabled or is older than
  // CHECK (0.4.0).
  absl::Status Check(const NetworkAttachment& attachment,
                     absl::Time deadline) const;

 private:
  CniPluginRunner& plugins_;
};

}  // namespace quoll::runtime
