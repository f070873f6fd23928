// SPDX-License-Identifier: Apache-2.0
#include "image/pull_flights.h"

#include <atomic>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"

#include "image/waiting.h"
#include "os/log.h"
#include "os/status_macros.h"

namespace quoll::image {

// All but `cancelled` is guarded by PullFlights::mutex_.
struct PullFlights::Flight {
  std::thread thread;
  int waiters = 0;
  bool done = false;
  absl::StatusOr<ImageRecord> result = absl::UnknownError("still running");
  std::atomic<bool> cancelled{false};
};

PullFlights::~PullFlights() {
  std::set<std::shared_ptr<Flight>> rest;
  {
    absl::MutexLock lock(&mutex_);
    rest.swap(all_);
    open_.clear();
  }
  for (const auto& flight : rest) {
    flight->cancelled = true;
  }
  for (const auto& flight : rest) {
    flight->thread.join();
  }
}

absl::StatusOr<ImageRecord> PullFlights::Join(const std::string& key, Work work,
                                              const os::Call& call) {
  QUOLL_RETURN_IF_ERROR(CheckCall(call));
  ReapLanded();
  QUOLL_ASSIGN_OR_RETURN(const std::shared_ptr<Flight> flight,
                         Board(key, std::move(work)));
  absl::MutexLock lock(&mutex_);
  absl::Status waiting;
  while (!flight->done && waiting.ok()) {
    mutex_.AwaitWithDeadline(absl::Condition(&flight->done),
                             call.DeadlineWithin(kCancelTick));
    if (!flight->done) {
      waiting = CheckCall(call);
    }
  }
  --flight->waiters;
  if (flight->done) {
    return flight->result;
  }
  if (flight->waiters == 0) {
    flight->cancelled = true;
    // Who comes now must not share the fate of a cancelled one.
    const auto it = open_.find(key);
    if (it != open_.end() && it->second == flight) {
      open_.erase(it);
    }
  }
  return waiting;
}

absl::StatusOr<std::shared_ptr<PullFlights::Flight>> PullFlights::Board(
    const std::string& key, Work work) {
  absl::MutexLock lock(&mutex_);
  if (const auto it = open_.find(key); it != open_.end()) {
    ++it->second->waiters;
    return it->second;
  }
  auto flight = std::make_shared<Flight>();
  try {
    flight->thread = std::thread([this, key, flight, work = std::move(work),
                                  request_id = os::CurrentRequestId()] {
      const os::LogRequestScope scope(request_id);
      Fly(key, flight, work);
    });
  } catch (const std::system_error& e) {
    return absl::ResourceExhaustedError(
        absl::StrCat("start a thread: ", e.what()));
  }
  flight->waiters = 1;
  open_[key] = flight;
  all_.insert(flight);
  return flight;
}

void PullFlights::Fly(const std::string& key,
                      const std::shared_ptr<Flight>& flight, const Work& work) {
  const os::Call call{.deadline = absl::InfiniteFuture(),
                      .cancelled = [&] { return flight->cancelled.load(); }};
  absl::StatusOr<ImageRecord> result = work(call);
  absl::MutexLock lock(&mutex_);
  flight->result = std::move(result);
  flight->done = true;
  const auto it = open_.find(key);
  if (it != open_.end() && it->second == flight) {
    open_.erase(it);
  }
}

// A landed thread only has to return: joining it does not block.
void PullFlights::ReapLanded() {
  std::vector<std::shared_ptr<Flight>> landed;
  {
    absl::MutexLock lock(&mutex_);
    for (auto it = all_.begin(); it != all_.end();) {
      if ((*it)->done) {
        landed.push_back(*it);
        it = all_.erase(it);
      } else {
        ++it;
      }
    }
  }
  for (const auto& flight : landed) {
    flight->thread.join();
  }
}

}  // namespace quoll::image
