// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "absl/types/span.h"

#include "runtime/types.h"

namespace quoll::runtime {

// Attaches a pod's network namespace (CNI behind it). Thread-safe; calls for
// one sandbox are serialised by the caller.
class PodNetwork {
 public:
  virtual ~PodNetwork() = default;

  // FailedPrecondition ("no CNI configuration in /etc/cni/net.d") or
  // InvalidArgument (what is there cannot be used) until a network is there.
  // Never blocks: the directory is watched.
  virtual absl::Status Ready() const = 0;

  struct Request {
    std::string sandbox_id;
    std::string netns_path;
    std::string pod_name;
    std::string pod_namespace;
    std::string pod_uid;
    std::vector<state::v1::PortMapping> port_mappings;
    state::v1::Dns dns;
    std::string cgroup_parent;
  };
  struct Attachment {
    std::vector<std::string> ips;  // without prefix length, first is primary
    std::string result_json;
  };

  // The attachment is recorded before the first plugin runs. On error DEL has
  // been issued for what was added; when that DEL failed too it stays owed and
  // is retried in the background. At the deadline plugins are killed.
  virtual absl::StatusOr<Attachment> Attach(const Request& request,
                                            absl::Time deadline) = 0;

  // DEL with the configuration and result that ADD used. OK when there is none.
  // When plugins fail the DEL stays owed, is retried in the background until it
  // succeeds, and the error is returned. The namespace may be gone already.
  virtual absl::Status Detach(absl::string_view sandbox_id,
                              absl::Time deadline) = 0;

  // CHECK of the attachment; FailedPrecondition with the plugin's words.
  virtual absl::Status Check(absl::string_view sandbox_id,
                             absl::Time deadline) = 0;

  // True while a DEL for the sandbox is owed.
  virtual bool OwesDetach(absl::string_view sandbox_id) const = 0;

  // After a restart: DEL is owed for every attachment whose sandbox is not in
  // `live`.
  virtual absl::Status Recover(absl::Span<const std::string> live) = 0;
};

}  // namespace quoll::runtime
