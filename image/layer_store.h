// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"

#include "os/call.h"
#include "os/record_db.h"
#include "proto/state/v1/state.pb.h"

namespace quoll::image {

using LayerRecord = ::quoll::state::v1::LayerRecord;

// A layer that is being unpacked. One stream of bytes in, compressed or not;
// unpacked by a `quoll-unpack` process while they come. Destroying it without
// Commit() ends the process and removes what it wrote. Not thread-safe.
class LayerWriter {
 public:
  virtual ~LayerWriter() = default;
  // Blocks while the unpacker is busy. An error of the unpacker (a hostile or
  // broken tar, a full disk) is returned here or by Commit.
  virtual absl::Status Append(absl::string_view chunk) = 0;
  // End of the stream. DataLoss when the unpacked bytes do not hash to
  // `diff_id`. After OK the layer is on the disk, whole, under its diff id.
  virtual absl::Status Commit() = 0;
};

// Unpacked layers in overlay format (whiteouts are 0/0 character devices,
// opaque directories carry trusted.overlay.opaque), kept by diff id, shared by
// all images that have them. Thread-safe.
class LayerStore {
 public:
  struct Options {
    std::string root;            // /var/lib/quoll/layers
    std::string unpack_program;  // absolute path of quoll-unpack
    // Limits against bombs.
    int64_t max_layer_bytes = int64_t{64} << 30;
    int64_t max_layer_entries = 4'000'000;
    // How long an unpack may make no progress (a disk that hangs).
    absl::Duration stall_limit = absl::Minutes(15);
  };
  // `db` must outlive the store. No I/O.
  LayerStore(Options options, os::RecordDb& db);
  ~LayerStore();

  // Removes what unfinished unpacks and removals left. A record without a
  // directory is dropped; a directory without a record is taken over, because
  // it got its name only when it was whole and on the disk. What cannot be read
  // is reported and left alone.
  absl::Status Recover();

  bool Has(absl::string_view diff_id) const;
  absl::StatusOr<LayerRecord> Get(absl::string_view diff_id) const;
  // Absolute path of the layer's root directory; does not check that it exists.
  std::string Directory(absl::string_view diff_id) const;

  // Directories that the layer has only because something is in them: paths
  // below its root, "." for the root. Overlayfs shows the topmost layer's owner
  // and mode, which for these is a default (root, 0755) that must not win over
  // what a lower layer says. NotFound.
  absl::StatusOr<std::vector<std::string>> ImpliedDirectories(
      absl::string_view diff_id) const;

  // Two writers of one diff id may run at once; the second Commit finds the
  // layer there and is OK. Writers must not outlive the store; `call` bounds
  // their whole life.
  absl::StatusOr<std::unique_ptr<LayerWriter>> Begin(const std::string& diff_id,
                                                     const os::Call& call);

  // Removes every layer that is not in `keep` (diff ids). Collects errors and
  // goes on. A layer that is committed while this runs may or may not be
  // removed: the caller keeps pulls and removals apart, or lists it in `keep`.
  absl::Status RemoveAllBut(const std::set<std::string>& keep);

  struct Usage {
    uint64_t bytes = 0;
    uint64_t inodes = 0;
  };
  // Sum over the records: O(layers), no walk.
  Usage TotalUsage() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace quoll::image
