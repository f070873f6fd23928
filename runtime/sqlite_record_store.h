// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "os/record_db.h"
#include "runtime/record_store.h"

namespace quoll::runtime {

// Records in the tables "sandboxes" and "containers" of quoll.db. What cannot
// be read is moved, as it is, to "set_aside", and reported by every LoadAll()
// until a person has dealt with it. Thread-safe.
class SqliteRecordStore : public RecordStore {
 public:
  // `db` must outlive it. No I/O.
  explicit SqliteRecordStore(os::RecordDb& db) : db_(db) {}

  absl::Status PutSandbox(const SandboxRecord& record) override;
  absl::Status DeleteSandbox(absl::string_view id) override;
  absl::Status PutContainer(const ContainerRecord& record) override;
  absl::Status DeleteContainer(absl::string_view id) override;
  absl::StatusOr<Loaded> LoadAll() override;

 private:
  os::RecordDb& db_;
};

}  // namespace quoll::runtime
