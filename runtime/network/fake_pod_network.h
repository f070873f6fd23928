// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <map>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/synchronization/notification.h"

#include "runtime/network/pod_network.h"

namespace quoll::runtime {

// A network in memory: addresses from a counter, failures on demand. It passes
// the same contract as CniPodNetwork. Thread-safe.
class FakePodNetwork : public PodNetwork {
 public:
  absl::Status Ready() const override;
  absl::StatusOr<Attachment> Attach(const Request& request,
                                    absl::Time deadline) override;
  absl::Status Detach(absl::string_view sandbox_id,
                      absl::Time deadline) override;
  absl::Status Check(absl::string_view sandbox_id,
                     absl::Time deadline) override;
  bool OwesDetach(absl::string_view sandbox_id) const override;
  absl::Status Recover(absl::Span<const std::string> live) override;

  // What the calls answer from now on, until it is set to OK again.
  void SetReady(absl::Status status);
  void SetAttachError(absl::Status status);
  void SetDetachError(absl::Status status);
  // Attach() waits for `gate`, at most until its deadline. Borrowed.
  void SetAttachGate(const absl::Notification* gate);

  // One round of background retries: what is owed is detached, unless
  // SetDetachError() says otherwise.
  void RetryOwed();

  // Sandboxes with an attachment, owed ones too. Sorted.
  std::vector<std::string> Attached() const;
  // Every Attach() in order of arrival, failed ones too.
  std::vector<Request> Requests() const;
  // Sandbox ids of every Detach() in order.
  std::vector<std::string> Detaches() const;

 private:
  struct State {
    bool owed = false;
  };
  absl::Status DetachLocked(const std::string& sandbox_id)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mu_);

  mutable absl::Mutex mu_;
  absl::Status ready_ ABSL_GUARDED_BY(mu_);
  absl::Status attach_error_ ABSL_GUARDED_BY(mu_);
  absl::Status detach_error_ ABSL_GUARDED_BY(mu_);
  const absl::Notification* attach_gate_ ABSL_GUARDED_BY(mu_) = nullptr;
  int last_address_ ABSL_GUARDED_BY(mu_) = 0;
  std::map<std::string, State> attached_ ABSL_GUARDED_BY(mu_);
  std::vector<Request> requests_ ABSL_GUARDED_BY(mu_);
  std::vector<std::string> detaches_ ABSL_GUARDED_BY(mu_);
};

}  // namespace quoll::runtime
