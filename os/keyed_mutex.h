// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"

namespace quoll::os {

// One lock per key, held over a whole operation (with its I/O). Keys exist only
// while somebody holds or waits for them. Fair: waiters get it in order.
// Thread-safe.
class KeyedMutex {
 public:
  class Lock {
   public:
    Lock() = default;
    Lock(Lock&& other) noexcept;
    Lock& operator=(Lock&& other) noexcept;
    ~Lock();

   private:
    friend class KeyedMutex;
    struct Entry;
    Lock(KeyedMutex* owner, std::shared_ptr<Entry> entry);
    KeyedMutex* owner_ = nullptr;
    std::shared_ptr<Entry> entry_;
  };

  KeyedMutex();
  ~KeyedMutex();

  // DeadlineExceeded when somebody else still holds it at `deadline`.
  absl::StatusOr<Lock> Acquire(absl::string_view key, absl::Time deadline);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace quoll::os
