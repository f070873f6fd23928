// SPDX-License-Identifier: Apache-2.0
#include "runtime/sqlite_record_store.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"

#include "os/status_macros.h"

namespace quoll::runtime {
namespace {

constexpr char kSandboxes[] = "sandboxes";
constexpr char kContainers[] = "containers";
// Keys are "TABLE/ID".
constexpr char kSetAside[] = "set_aside";
constexpr uint32_t kFormat = 1;

// Reads a table. What this version cannot read, or would misread, is moved
// aside.
template <typename Record>
absl::Status Load(os::RecordDb& db, absl::string_view table,
                  std::vector<Record>& records) {
  QUOLL_ASSIGN_OR_RETURN(const auto rows, db.LoadAll(table));
  std::vector<os::RecordDb::Change> aside;
  for (const auto& [id, bytes] : rows) {
    Record record;
    if (record.ParseFromString(bytes) && record.id() == id &&
        record.format() == kFormat) {
      records.push_back(std::move(record));
      continue;
    }
    aside.push_back({.table = kSetAside,
                     .key = absl::StrCat(table, "/", id),
                     .value = bytes});
    aside.push_back(
        {.table = std::string(table), .key = id, .value = {}, .erase = true});
  }
  return db.Apply(std::move(aside));
}

}  // namespace

absl::Status SqliteRecordStore::PutSandbox(const SandboxRecord& record) {
  return db_.Put(kSandboxes, record.id(), record.SerializeAsString());
}

absl::Status SqliteRecordStore::DeleteSandbox(absl::string_view id) {
  return db_.Delete(kSandboxes, id);
}

absl::Status SqliteRecordStore::PutContainer(const ContainerRecord& record) {
  return db_.Put(kContainers, record.id(), record.SerializeAsString());
}

absl::Status SqliteRecordStore::DeleteContainer(absl::string_view id) {
  return db_.Delete(kContainers, id);
}

absl::StatusOr<RecordStore::Loaded> SqliteRecordStore::LoadAll() {
  Loaded loaded;
  QUOLL_RETURN_IF_ERROR(Load(db_, kSandboxes, loaded.sandboxes));
  QUOLL_RETURN_IF_ERROR(Load(db_, kContainers, loaded.containers));
  QUOLL_ASSIGN_OR_RETURN(const auto aside, db_.LoadAll(kSetAside));
  for (const auto& [key, bytes] : aside) {
    const std::pair<std::string, std::string> table_and_id =
        absl::StrSplit(key, absl::MaxSplits('/', 1));
    loaded.unreadable.push_back(table_and_id.second);
  }
  return loaded;
}

}  // namespace quoll::runtime
