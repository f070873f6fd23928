// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"

#include "os/keyed_mutex.h"
#include "os/record_db.h"
#include "proto/state/v1/state.pb.h"

namespace quoll::image {

using ImageRecord = ::quoll::state::v1::ImageRecord;

// The images that this node has, and their names: table "images" of the
// database, keyed by id, with a copy in memory for reading. A tag belongs to
// one image at most. Thread-safe; changes block on the disk, reads do not.
class ImageTable {
 public:
  // `db` must outlive this; no I/O.
  explicit ImageTable(os::RecordDb& db);

  // Reads the table. A record that cannot be read goes to the table
  // "set_aside", one that is not `usable` is dropped; both are logged.
  absl::Status Load(const std::function<bool(const ImageRecord&)>& usable);

  // Adds an image, or its names to the image of that id. Tags are taken from
  // whichever image had them, in one transaction. Durable when it returns.
  absl::StatusOr<ImageRecord> Commit(const ImageRecord& image);

  // See ImageService::Find. InvalidArgument for what can be neither a name nor
  // an id, and for an ambiguous prefix.
  absl::StatusOr<ImageRecord> Find(const std::string& reference) const;
  bool Has(const std::string& id) const;
  std::vector<ImageRecord> List() const;  // sorted by id

  // OK when it is already gone.
  absl::Status Remove(const std::string& id);

  // Diff ids of all images.
  std::set<std::string> Layers() const;

 private:
  os::RecordDb& db_;
  // Operation lock over read, change, write; the data lock below is not held
  // over I/O.
  os::KeyedMutex changes_;
  mutable absl::Mutex mutex_;
  std::map<std::string, ImageRecord> images_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace quoll::image
