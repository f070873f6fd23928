// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace quoll::os {

// Durable tables of (key, blob) in one SQLite file, WAL, synchronous=FULL.
// Writers from many threads are gathered into one transaction (group commit),
// so that 100 pods starting at once do not pay 100 fsyncs one after another.
// Thread-safe. Blocks on the disk; never call it with a data lock held.
class RecordDb {
 public:
  // Opens or creates the file (mode 0600) and takes its write lock for the
  // life of the object: FailedPrecondition when another process has it.
  // DataLoss when the file is no database; it is left as it is.
  static absl::StatusOr<std::unique_ptr<RecordDb>> Open(
      const std::string& path);
  ~RecordDb();

  // Durable when it returns OK. Creates the table when it does not exist.
  absl::Status Put(absl::string_view table, absl::string_view key,
                   absl::string_view value);
  // OK when the key is already gone.
  absl::Status Delete(absl::string_view table, absl::string_view key);

  struct Change {
    std::string table;
    std::string key;
    std::string value;
    bool erase = false;
  };
  // All or none.
  absl::Status Apply(std::vector<Change> changes);

  absl::StatusOr<std::string> Get(absl::string_view table,
                                  absl::string_view key) const;
  // Sorted by key. An absent table is empty.
  absl::StatusOr<std::vector<std::pair<std::string, std::string>>> LoadAll(
      absl::string_view table) const;

 private:
  RecordDb();
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace quoll::os
