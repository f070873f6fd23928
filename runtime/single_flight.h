// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"

#include "os/call.h"
#include "runtime/workers.h"

namespace quoll::runtime {

// One running operation per key. Who asks for an operation that runs already
// joins it and gets its result. The operation runs on a worker thread to its
// end, whoever leaves; each caller waits by its own deadline and cancellation.
// T is absl::Status or an absl::StatusOr. Thread-safe.
template <typename T>
class SingleFlight {
 public:
  // `workers` must outlive it and be shut down before it is destroyed.
  explicit SingleFlight(Workers& workers) : workers_(workers) {}

  // `fingerprint` is what must be equal for two callers to mean the same:
  // AlreadyExists when the running operation has another one.
  T Do(const std::string& key, const std::string& fingerprint,
       const os::Call& call, std::function<T()> work) {
    if (call.IsCancelled() || call.deadline <= absl::Now()) {
      return Left(key, call);
    }
    std::shared_ptr<Flight> flight;
    bool starts = false;
    {
      absl::MutexLock lock(&mutex_);
      std::shared_ptr<Flight>& slot = flights_[key];
      if (slot == nullptr) {
        slot = std::make_shared<Flight>();
        slot->fingerprint = fingerprint;
        starts = true;
      } else if (slot->fingerprint != fingerprint) {
        return absl::AlreadyExistsError(absl::StrCat(
            key,
            ": is being made with a different configuration; wait for it "
            "or use another attempt"));
      }
      flight = slot;
    }
    if (starts) {
      const bool runs =
          workers_.Run([this, key, flight, work = std::move(work)] {
            T result = work();
            {
              absl::MutexLock lock(&mutex_);
              flights_.erase(key);
            }
            absl::MutexLock lock(&flight->mutex);
            flight->result.emplace(std::move(result));
            flight->done.SignalAll();
          });
      if (!runs) {
        absl::MutexLock lock(&mutex_);
        flights_.erase(key);
        return absl::UnavailableError(
            absl::StrCat(key, ": the daemon is stopping"));
      }
    }
    return Wait(key, *flight, call);
  }

 private:
  // Shared by the worker and every caller that waits: the last one out frees
  // it.
  struct Flight {
    std::string fingerprint;  // set before it is shared
    absl::Mutex mutex;
    absl::CondVar done;
    std::optional<T> result ABSL_GUARDED_BY(mutex);
  };

  static T Left(const std::string& key, const os::Call& call) {
    return call.IsCancelled()
               ? absl::CancelledError(absl::StrCat(key, ": the caller left"))
               : absl::DeadlineExceededError(absl::StrCat(
                     key, ": not done in time; it goes on, ask again"));
  }

  static T Wait(const std::string& key, Flight& flight, const os::Call& call) {
    // Cancellation is only a question that can be asked: ask it this often.
    constexpr absl::Duration kAskEvery = absl::Milliseconds(50);
    absl::MutexLock lock(&flight.mutex);
    while (!flight.result.has_value()) {
      if (call.IsCancelled() || call.deadline <= absl::Now()) {
        return Left(key, call);
      }
      flight.done.WaitWithDeadline(
          &flight.mutex,
          call.cancelled ? call.DeadlineWithin(kAskEvery) : call.deadline);
    }
    return *flight.result;
  }

  Workers& workers_;
  absl::Mutex mutex_;
  std::map<std::string, std::shared_ptr<Flight>> flights_
      ABSL_GUARDED_BY(mutex_);
};

}  // namespace quoll::runtime
