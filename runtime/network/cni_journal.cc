// SPDX-License-Identifier: Apache-2.0
#include "runtime/network/cni_journal.h"

#include <utility>

#include "absl/strings/str_cat.h"

#include "os/annotate.h"
#include "os/status_macros.h"

namespace quoll::runtime {
namespace {

constexpr char kTable[] = "cni";
constexpr char kSetAsideTable[] = "set_aside";
// Newer fields of the same format are fine (protobuf); a newer format is not.
constexpr uint32_t kNewestFormat = 1;

absl::StatusOr<NetworkAttachment> Decode(absl::string_view key,
                                         const std::string& value) {
  NetworkAttachment attachment;
  if (!attachment.ParseFromString(value) || attachment.sandbox_id() != key) {
    return absl::DataLossError(
        absl::StrCat("sandbox ", key, ": its CNI record cannot be read"));
  }
  if (attachment.format() > kNewestFormat) {
    return absl::DataLossError(absl::StrCat(
        "sandbox ", key, ": its CNI record has format ", attachment.format(),
        ", written by a newer quolld; this one reads up to ", kNewestFormat));
  }
  return attachment;
}

}  // namespace

absl::Status CniJournal::Put(const NetworkAttachment& attachment) {
  return os::Annotate(
      db_.Put(kTable, attachment.sandbox_id(), attachment.SerializeAsString()),
      "record the CNI attachment");
}

absl::Status CniJournal::Erase(absl::string_view sandbox_id) {
  return os::Annotate(db_.Delete(kTable, sandbox_id),
                      "erase the CNI attachment's record");
}

absl::StatusOr<NetworkAttachment> CniJournal::Get(
    absl::string_view sandbox_id) const {
  QUOLL_ASSIGN_OR_RETURN(const std::string value, db_.Get(kTable, sandbox_id));
  return Decode(sandbox_id, value);
}

absl::StatusOr<CniJournal::Loaded> CniJournal::LoadAll() {
  QUOLL_ASSIGN_OR_RETURN(auto rows, db_.LoadAll(kTable));
  Loaded loaded;
  std::vector<os::RecordDb::Change> moves;
  for (auto& [key, value] : rows) {
    absl::StatusOr<NetworkAttachment> attachment = Decode(key, value);
    if (attachment.ok()) {
      loaded.attachments.push_back(*std::move(attachment));
      continue;
    }
    moves.push_back({kSetAsideTable, absl::StrCat(kTable, "/", key),
                     std::move(value), /*erase=*/false});
    moves.push_back({kTable, key, "", /*erase=*/true});
    loaded.unreadable.push_back(std::move(key));
  }
  if (!moves.empty()) {
    QUOLL_RETURN_IF_ERROR(os::Annotate(db_.Apply(std::move(moves)),
                                       "set unreadable CNI records aside"));
  }
  return loaded;
}

}  // namespace quoll::runtime
