// SPDX-License-Identifier: Apache-2.0
#include "runtime/network/detach_retrier.h"

#include <pthread.h>

#include <algorithm>
#include <system_error>
#include <utility>

#include "absl/strings/str_cat.h"

#include "spdlog/spdlog.h"

namespace quoll::runtime {

DetachRetrier::DetachRetrier(Options options, Attempt attempt)
    : options_(options), attempt_(std::move(attempt)) {}

absl::StatusOr<std::unique_ptr<DetachRetrier>> DetachRetrier::Create(
    Options options, Attempt attempt) {
  std::unique_ptr<DetachRetrier> retrier(
      new DetachRetrier(options, std::move(attempt)));
  try {
    for (int i = 0; i < options.threads; ++i) {
      retrier->threads_.emplace_back([raw = retrier.get()] { raw->Work(); });
    }
  } catch (const std::system_error& error) {
    return absl::ResourceExhaustedError(
        absl::StrCat("start a thread for owed CNI DELs: ", error.what()));
  }
  return retrier;
}

DetachRetrier::~DetachRetrier() {
  {
    absl::MutexLock lock(&mu_);
    stopping_ = true;
    changed_.SignalAll();
  }
  for (std::thread& thread : threads_) {
    thread.join();
  }
}

DetachRetrier::SteadyTime DetachRetrier::NextTry(uint32_t failures) const {
  absl::Duration wait = absl::ZeroDuration();
  if (failures > 0) {
    // 2^20 times any sensible minimum is past any sensible maximum.
    const int64_t factor = int64_t{1} << std::min(failures - 1, 20u);
    wait = std::min(options_.retry_min * factor, options_.retry_max);
  }
  return std::chrono::steady_clock::now() + absl::ToChronoNanoseconds(wait);
}

void DetachRetrier::Owe(const std::string& sandbox_id, uint32_t failures) {
  const SteadyTime due = NextTry(failures);
  absl::MutexLock lock(&mu_);
  if (debts_.try_emplace(sandbox_id, Debt{due, failures}).second) {
    changed_.Signal();
  }
}

void DetachRetrier::Settle(absl::string_view sandbox_id) {
  absl::MutexLock lock(&mu_);
  debts_.erase(sandbox_id);
}

bool DetachRetrier::Owes(absl::string_view sandbox_id) const {
  absl::MutexLock lock(&mu_);
  return debts_.contains(sandbox_id);
}

std::string DetachRetrier::AwaitDue() {
  absl::MutexLock lock(&mu_);
  while (!stopping_) {
    auto first = debts_.end();
    for (auto it = debts_.begin(); it != debts_.end(); ++it) {
      if (!it->second.running &&
          (first == debts_.end() || it->second.due < first->second.due)) {
        first = it;
      }
    }
    if (first == debts_.end()) {
      changed_.Wait(&mu_);
      continue;
    }
    const auto left = first->second.due - std::chrono::steady_clock::now();
    if (left <= std::chrono::nanoseconds::zero()) {
      first->second.running = true;
      return first->first;
    }
    changed_.WaitWithTimeout(&mu_, absl::FromChrono(left));
  }
  return "";
}

void DetachRetrier::Finish(const std::string& sandbox_id,
                           const absl::Status& status) {
  absl::MutexLock lock(&mu_);
  const auto it = debts_.find(sandbox_id);
  if (it == debts_.end()) {
    return;  // settled meanwhile
  }
  if (status.ok()) {
    debts_.erase(it);
    return;
  }
  ++it->second.failures;
  it->second.due = NextTry(it->second.failures);
  it->second.running = false;
  changed_.Signal();
}

void DetachRetrier::Work() {
  pthread_setname_np(pthread_self(), "quoll-cni-retry");
  for (std::string id = AwaitDue(); !id.empty(); id = AwaitDue()) {
    const absl::Status status = attempt_(id);
    if (status.ok()) {
      spdlog::info("sandbox {}: owed CNI DEL done", id);
    } else {
      spdlog::warn("sandbox {}: owed CNI DEL failed, will be repeated: {}", id,
                   status.ToString());
    }
    Finish(id, status);
  }
}

}  // namespace quoll::runtime
