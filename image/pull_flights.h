// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"

#include "os/call.h"
#include "proto/state/v1/state.pb.h"

namespace quoll::image {

using ImageRecord = ::quoll::state::v1::ImageRecord;

// Lets callers who want the same thing at the same time share one piece of
// work. The work runs on a thread of its own and goes on while one of them
// waits; when the last one has left it is cancelled. Thread-safe.
class PullFlights {
 public:
  using Work = std::function<absl::StatusOr<ImageRecord>(const os::Call&)>;

  PullFlights() = default;
  // Cancels what runs and waits for it. Nobody may be in Join any more.
  ~PullFlights();

  // The result of the work that runs under `key`; starts `work` when none does.
  // `work` may outlive this call, so it owns what it uses. Cancelled or
  // DeadlineExceeded when this caller leaves before the end.
  absl::StatusOr<ImageRecord> Join(const std::string& key, Work work,
                                   const os::Call& call);

 private:
  struct Flight;
  absl::StatusOr<std::shared_ptr<Flight>> Board(const std::string& key,
                                                Work work);
  void Fly(const std::string& key, const std::shared_ptr<Flight>& flight,
           const Work& work);
  void ReapLanded();

  absl::Mutex mutex_;
  // Those that may still be joined.
  std::map<std::string, std::shared_ptr<Flight>> open_ ABSL_GUARDED_BY(mutex_);
  // Those whose thread has not been joined yet; shared with the thread itself
  // and with callers who wait.
  std::set<std::shared_ptr<Flight>> all_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace quoll::image
