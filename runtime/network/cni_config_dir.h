// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

#include "os/event_loop.h"
#include "runtime/network/cni_network.h"

namespace quoll::runtime {

// The first usable network in a directory: files ending in .conflist, .conf and
// .json in the order of their names, as the kubelet, containerd and CRI-O have
// it. Files that are of no use are skipped; `skipped`, when given, is called
// for each with its path and what is wrong. FailedPrecondition when there is
// none; InvalidArgument when none is of use, with every file and its mistake.
absl::StatusOr<CniNetwork> LoadCniNetwork(
    const std::string& dir,
    const std::function<void(const std::string& path, const absl::Status& why)>&
        skipped = nullptr);

// Keeps the network of a directory current by inotify(7), for as long as it
// lives. Its callback on the event loop reads a handful of small local files.
// Thread-safe.
class CniConfigDir {
 public:
  // Makes the directory (0755) when it is missing, so that it can be watched.
  static absl::StatusOr<std::unique_ptr<CniConfigDir>> Create(
      std::string dir, os::EventLoop& loop);
  ~CniConfigDir();

  // Of the last look. Never blocks, reads nothing. LoadCniNetwork's error while
  // there is none.
  absl::StatusOr<std::shared_ptr<const CniNetwork>> Current() const;

 private:
  struct State;
  explicit CniConfigDir(std::shared_ptr<State> state);

  // Shared with timers on the event loop, which cannot be taken back.
  std::shared_ptr<State> state_;
};

}  // namespace quoll::runtime
