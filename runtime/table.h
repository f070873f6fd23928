// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"

#include "runtime/ending.h"
#include "runtime/types.h"

namespace quoll::runtime {

// What makes a sandbox or a container the same one for a caller that asks
// again.
std::string SandboxKey(const SandboxSpec& spec);
std::string ContainerKey(const ContainerSpec& spec);

// What exists on this node, in memory. It holds immutable snapshots: a reader
// keeps the one it got, a writer (who holds the operation lock of the id)
// replaces it. The data lock is held for map operations only. Thread-safe;
// never blocks on I/O.
class Table {
 public:
  // Shared with readers that may outlast the record's place in the table.
  using SandboxPtr = std::shared_ptr<const SandboxRecord>;
  using ContainerPtr = std::shared_ptr<const ContainerRecord>;

  void Put(const SandboxRecord& record);
  void Put(const ContainerRecord& record);
  void EraseSandbox(const std::string& id);
  void EraseContainer(const std::string& id);

  // By full id, in any phase; nullptr when there is none.
  SandboxPtr Sandbox(const std::string& id) const;
  ContainerPtr Container(const std::string& id) const;
  SandboxPtr SandboxByKey(const std::string& key) const;
  ContainerPtr ContainerByKey(const std::string& key) const;

  // As callers know them: by unique prefix, and not while still being made.
  absl::StatusOr<SandboxPtr> FindSandbox(absl::string_view prefix) const;
  absl::StatusOr<ContainerPtr> FindContainer(absl::string_view prefix) const;

  // In any phase, ordered by id.
  std::vector<SandboxPtr> Sandboxes() const;
  std::vector<ContainerPtr> Containers() const;
  std::vector<ContainerPtr> ContainersOf(const std::string& sandbox_id) const;

  // nullptr for an unknown id.
  std::shared_ptr<Ending> EndingOf(const std::string& container_id) const;

 private:
  struct ContainerEntry {
    ContainerPtr record;
    std::shared_ptr<Ending> ending = std::make_shared<Ending>();
  };
  mutable absl::Mutex mutex_;
  // Ordered, for prefixes.
  std::map<std::string, SandboxPtr, std::less<>> sandboxes_
      ABSL_GUARDED_BY(mutex_);
  std::map<std::string, ContainerEntry, std::less<>> containers_
      ABSL_GUARDED_BY(mutex_);
  std::map<std::string, std::string> sandbox_ids_ ABSL_GUARDED_BY(mutex_);
  std::map<std::string, std::string> container_ids_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace quoll::runtime
