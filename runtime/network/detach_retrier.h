// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"

namespace quoll::runtime {

// Repeats owed DELs until they succeed: each with exponential backoff of its
// own, a few at a time on threads of its own, so that one that hangs does not
// keep the others waiting. Idle threads sleep until the next one is due.
// Thread-safe; only the destructor blocks, until running attempts have ended.
class DetachRetrier {
 public:
  struct Options {
    absl::Duration retry_min = absl::Seconds(1);
    absl::Duration retry_max = absl::Seconds(60);
    int threads = 4;
  };
  // May block. OK ends the debt; the reason of an error is logged here.
  using Attempt = std::function<absl::Status(const std::string& sandbox_id)>;

  // ResourceExhausted when threads cannot be had.
  static absl::StatusOr<std::unique_ptr<DetachRetrier>> Create(Options options,
                                                               Attempt attempt);
  ~DetachRetrier();

  // After `failures` failed attempts: 0 means that the next one is due now.
  // Does not shorten the wait of what is owed already.
  void Owe(const std::string& sandbox_id, uint32_t failures);
  // Somebody else has done it.
  void Settle(absl::string_view sandbox_id);
  bool Owes(absl::string_view sandbox_id) const;

 private:
  // Monotonic: setting the clock must not put a retry off.
  using SteadyTime = std::chrono::steady_clock::time_point;
  struct Debt {
    SteadyTime due;
    uint32_t failures = 0;
    bool running = false;
  };

  DetachRetrier(Options options, Attempt attempt);
  void Work();
  // The debt that is due first, which is then running; "" when stopping.
  std::string AwaitDue();
  void Finish(const std::string& sandbox_id, const absl::Status& status);
  SteadyTime NextTry(uint32_t failures) const;

  const Options options_;
  const Attempt attempt_;
  mutable absl::Mutex mu_;
  absl::CondVar changed_;
  absl::flat_hash_map<std::string, Debt> debts_ ABSL_GUARDED_BY(mu_);
  bool stopping_ ABSL_GUARDED_BY(mu_) = false;
  std::vector<std::thread> threads_;
};

}  // namespace quoll::runtime
