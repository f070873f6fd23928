// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"

namespace quoll::image {

// Layers that must not be removed although no record names them: of pulls in
// progress and of leases. Counted per diff id. Thread-safe.
class LayerPins {
 public:
  // Pinned until the last copy of the result is gone. The result may outlive
  // the LayerPins.
  std::shared_ptr<void> Pin(std::vector<std::string> diff_ids) {
    auto state = state_;
    {
      absl::MutexLock lock(&state->mutex);
      for (const std::string& diff_id : diff_ids) {
        ++state->counts[diff_id];
      }
    }
    return std::shared_ptr<void>(
        nullptr, [state, diff_ids = std::move(diff_ids)](void*) {
          absl::MutexLock lock(&state->mutex);
          for (const std::string& diff_id : diff_ids) {
            const auto it = state->counts.find(diff_id);
            if (--it->second == 0) {
              state->counts.erase(it);
            }
          }
        });
  }

  std::set<std::string> Pinned() const {
    absl::MutexLock lock(&state_->mutex);
    std::set<std::string> diff_ids;
    for (const auto& [diff_id, count] : state_->counts) {
      diff_ids.insert(diff_id);
    }
    return diff_ids;
  }

 private:
  struct State {
    absl::Mutex mutex;
    std::map<std::string, int> counts ABSL_GUARDED_BY(mutex);
  };
  // Shared with the pins, which callers may keep past our end.
  std::shared_ptr<State> state_ = std::make_shared<State>();
};

}  // namespace quoll::image
