// SPDX-License-Identifier: Apache-2.0
#include "os/keyed_mutex.h"

#include <list>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"

namespace quoll::os {

// All fields are guarded by Impl::mu.
struct KeyedMutex::Lock::Entry {
  struct Waiter {
    absl::CondVar granted_cv;
    bool granted = false;
  };
  std::string key;
  // In order of arrival. They live on their callers' stacks.
  std::list<Waiter*> waiters;
};

struct KeyedMutex::Impl {
  using Entry = Lock::Entry;

  absl::Mutex mu;
  // Exactly the keys that somebody holds.
  absl::flat_hash_map<std::string, std::shared_ptr<Entry>> held
      ABSL_GUARDED_BY(mu);

  // Hands the key to the one who waits longest: it is never free in between,
  // so that nobody can overtake.
  void Release(Entry& entry) {
    absl::MutexLock lock(&mu);
    if (entry.waiters.empty()) {
      held.erase(entry.key);
      return;
    }
    Entry::Waiter* next = entry.waiters.front();
    entry.waiters.pop_front();
    next->granted = true;
    next->granted_cv.Signal();
  }
};

KeyedMutex::KeyedMutex() : impl_(std::make_unique<Impl>()) {}
KeyedMutex::~KeyedMutex() = default;

absl::StatusOr<KeyedMutex::Lock> KeyedMutex::Acquire(absl::string_view key,
                                                     absl::Time deadline) {
  absl::MutexLock lock(&impl_->mu);
  std::shared_ptr<Lock::Entry>& slot = impl_->held[key];
  if (slot == nullptr) {
    slot = std::make_shared<Lock::Entry>();
    slot->key = std::string(key);
    return Lock(this, slot);
  }
  // A copy: the map may move its slots while we wait.
  std::shared_ptr<Lock::Entry> entry = slot;
  Lock::Entry::Waiter self;
  const auto position = entry->waiters.insert(entry->waiters.end(), &self);
  while (!self.granted) {
    const bool timed_out =
        self.granted_cv.WaitWithDeadline(&impl_->mu, deadline);
    if (timed_out && !self.granted) {
      entry->waiters.erase(position);
      return absl::DeadlineExceededError(
          absl::StrCat(key, ": another operation on it still runs"));
    }
  }
  return Lock(this, std::move(entry));
}

KeyedMutex::Lock::Lock(KeyedMutex* owner, std::shared_ptr<Entry> entry)
    : owner_(owner), entry_(std::move(entry)) {}

KeyedMutex::Lock::Lock(Lock&& other) noexcept
    : owner_(std::exchange(other.owner_, nullptr)),
      entry_(std::move(other.entry_)) {}

KeyedMutex::Lock& KeyedMutex::Lock::operator=(Lock&& other) noexcept {
  // What was held is released by the temporary.
  Lock taken(std::move(other));
  std::swap(owner_, taken.owner_);
  std::swap(entry_, taken.entry_);
  return *this;
}

KeyedMutex::Lock::~Lock() {
  if (owner_ != nullptr) {
    owner_->impl_->Release(*entry_);
  }
}

}  // namespace quoll::os
