// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"

#include "image/layer_facts.h"
#include "os/call.h"
#include "os/process.h"
#include "os/unique_fd.h"

namespace quoll::image {

// The daemon's side of one run of quoll-unpack. The first error is final: it is
// returned by every later call. Not thread-safe.
class UnpackerProcess {
 public:
  struct Options {
    std::string program;
    std::string directory;  // exists and is empty
    int64_t max_bytes = 0;
    int64_t max_entries = 0;
    // How long the process may neither take a byte nor end.
    absl::Duration stall_limit;
  };
  static absl::StatusOr<std::unique_ptr<UnpackerProcess>> Start(
      const Options& options);
  // As Stop().
  ~UnpackerProcess();

  // Blocks while the process is busy. An error of the process comes back with
  // its own words and code.
  absl::Status Write(absl::string_view chunk, const os::Call& call);

  // Says that this was all and waits for the result: the layer's files are on
  // the disk then.
  absl::StatusOr<LayerFacts> Finish(const os::Call& call);

  // Kills the process when it still runs and reaps it. False when it does not
  // die within `patience` (it hangs in the disk): try again later.
  bool Stop(absl::Duration patience);

 private:
  explicit UnpackerProcess(absl::Duration stall_limit)
      : stall_limit_(stall_limit) {}

  absl::Status WriteAll(absl::string_view chunk, const os::Call& call);
  absl::StatusOr<LayerFacts> Conclude(const os::Call& call);
  absl::Status AwaitReady(int fd, short events, const os::Call& call) const;
  // Of a process that has ended; never OK.
  absl::Status Failure(const os::ExitStatus& exit) const;

  const absl::Duration stall_limit_;
  os::Pidfd process_;
  bool reaped_ = false;
  os::UniqueFd data_;     // socket: writing to a dead one gives no SIGPIPE
  os::UniqueFd trailer_;  // likewise
  os::UniqueFd out_;
  os::UniqueFd err_;
  uint64_t written_ = 0;
  absl::Status error_;
};

}  // namespace quoll::image
