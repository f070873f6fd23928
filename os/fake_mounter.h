// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"

#include "os/mount.h"

namespace quoll::os {

// A Mounter that only remembers. Passes os/mounter_contract.h, as the real one
// does. Thread-safe.
class FakeMounter : public Mounter {
 public:
  struct Mounted {
    std::string target;
    MountSpec spec;                      // of Mount()
    std::optional<OverlaySpec> overlay;  // of MountOverlay()
  };

  absl::Status Mount(const MountSpec& spec, absl::Time deadline) override;
  absl::Status MountOverlay(const OverlaySpec& spec,
                            absl::Time deadline) override;
  absl::Status Unmount(const std::string& target, bool lazy,
                       absl::Time deadline) override;
  absl::StatusOr<std::vector<std::string>> ListUnder(
      const std::string& prefix) const override;

  // What is mounted now, oldest first.
  std::vector<Mounted> mounted() const;
  // Every call that changes something, failed ones too: "mount /a",
  // "overlay /b", "unmount /b", "unmount lazy /b".
  std::vector<std::string> calls() const;

  // The k-th such call from now on (1: the next) fails, without effect.
  void FailCall(int k, absl::Status status);
  // Each call for `target` fails until it is set to OK.
  void FailTarget(const std::string& target, absl::Status status);

 private:
  // Records the call and returns the error that it must fail with.
  absl::Status Begin(const std::string& call, const std::string& target,
                     absl::Time deadline) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  mutable absl::Mutex mutex_;
  std::vector<Mounted> mounted_ ABSL_GUARDED_BY(mutex_);
  std::vector<std::string> calls_ ABSL_GUARDED_BY(mutex_);
  std::map<size_t, absl::Status> failing_calls_ ABSL_GUARDED_BY(mutex_);
  std::map<std::string, absl::Status> failing_targets_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace quoll::os
