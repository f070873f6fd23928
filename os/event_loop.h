// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <functional>
#include <memory>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"

namespace quoll::os {

// One thread around epoll(7). Callbacks run on that thread, one at a time, and
// must not block. Watched descriptors stay the caller's: Remove() before
// closing. Thread-safe: every method may be called from any thread, callbacks
// included. The destructor stops the thread and joins it.
class EventLoop {
 public:
  using Callback = std::function<void(uint32_t epoll_events)>;
  using Token = uint64_t;

  static absl::StatusOr<std::unique_ptr<EventLoop>> Create();
  ~EventLoop();

  // Level-triggered. The callback may still run once, concurrently, while
  // Remove() is called from another thread; after Remove() has returned it does
  // not run and is not running (unless Remove is called by that callback).
  absl::StatusOr<Token> Add(int fd, uint32_t epoll_events, Callback callback);
  void Remove(Token token);

  // Runs `work` on the thread, soon or at `when`. Work still queued at
  // destruction is dropped.
  void Post(std::function<void()> work);
  void PostAt(absl::Time when, std::function<void()> work);

 private:
  EventLoop();
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace quoll::os
