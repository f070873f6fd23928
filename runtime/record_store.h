// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

#include "runtime/types.h"

namespace quoll::runtime {

// Durable records of sandboxes and containers. Put is durable when it returns.
// Thread-safe.
class RecordStore {
 public:
  virtual ~RecordStore() = default;
  virtual absl::Status PutSandbox(const SandboxRecord& record) = 0;
  virtual absl::Status DeleteSandbox(absl::string_view id) = 0;
  virtual absl::Status PutContainer(const ContainerRecord& record) = 0;
  virtual absl::Status DeleteContainer(absl::string_view id) = 0;

  struct Loaded {
    std::vector<SandboxRecord> sandboxes;
    std::vector<ContainerRecord> containers;
    // Ids whose records cannot be read. They were moved to the table
    // "set_aside"; nothing of theirs may be touched.
    std::vector<std::string> unreadable;
  };
  virtual absl::StatusOr<Loaded> LoadAll() = 0;
};

}  // namespace quoll::runtime
