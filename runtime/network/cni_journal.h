// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

#include "os/record_db.h"
#include "runtime/types.h"

namespace quoll::runtime {

// The durable list of attachments: table "cni" of quoll.db, keyed by sandbox
// id. A record exists from before the first plugin of ADD until DEL has
// succeeded, so whatever plugins hold can be given back. Thread-safe; blocks on
// the disk.
class CniJournal {
 public:
  explicit CniJournal(os::RecordDb& db) : db_(db) {}

  absl::Status Put(const NetworkAttachment& attachment);
  // OK when there is none.
  absl::Status Erase(absl::string_view sandbox_id);
  // NotFound without one, DataLoss when it cannot be read.
  absl::StatusOr<NetworkAttachment> Get(absl::string_view sandbox_id) const;

  struct Loaded {
    std::vector<NetworkAttachment> attachments;
    // Keys whose records cannot be read. They were moved to the table
    // "set_aside", as "cni/KEY": what their plugins hold is for people to free.
    std::vector<std::string> unreadable;
  };
  absl::StatusOr<Loaded> LoadAll();

 private:
  os::RecordDb& db_;
};

}  // namespace quoll::runtime
