// SPDX-License-Identifier: Apache-2.0
#include "os/keyed_mutex.h"

#include <unistd.h>

#include <fstream>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "absl/synchronization/notification.h"
#include "absl/time/clock.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace quoll::os {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

TEST(KeyedMutexTest, DifferentKeysDoNotWaitForEachOther) {
  KeyedMutex mutex;
  const auto a = mutex.Acquire("a", absl::InfinitePast());
  const auto b = mutex.Acquire("b", absl::InfinitePast());
  EXPECT_TRUE(a.ok());
  EXPECT_TRUE(b.ok());
}

TEST(KeyedMutexTest, HeldKeyGivesDeadlineExceededThatNamesIt) {
  KeyedMutex mutex;
  const auto held = mutex.Acquire("pod", absl::InfiniteFuture());
  ASSERT_TRUE(held.ok());
  const auto second =
      mutex.Acquire("pod", absl::Now() + absl::Milliseconds(10));
  EXPECT_EQ(second.status().code(), absl::StatusCode::kDeadlineExceeded);
  EXPECT_THAT(second.status().message(), HasSubstr("pod"));
}

TEST(KeyedMutexTest, IsFreeAfterReleaseAndAfterATimedOutWaiter) {
  KeyedMutex mutex;
  {
    const auto held = mutex.Acquire("pod", absl::InfiniteFuture());
    EXPECT_FALSE(mutex.Acquire("pod", absl::InfinitePast()).ok());
  }
  EXPECT_TRUE(mutex.Acquire("pod", absl::InfinitePast()).ok());
}

TEST(KeyedMutexTest, MovedLockIsReleasedOnce) {
  KeyedMutex mutex;
  KeyedMutex::Lock outer;
  {
    auto inner = mutex.Acquire("pod", absl::InfiniteFuture());
    ASSERT_TRUE(inner.ok());
    outer = *std::move(inner);
  }
  EXPECT_FALSE(mutex.Acquire("pod", absl::InfinitePast()).ok());
  outer = KeyedMutex::Lock();
  EXPECT_TRUE(mutex.Acquire("pod", absl::InfinitePast()).ok());
}

// Returns when that thread of ours sleeps (state "S", proc_pid_stat(5)), which
// after its start is only in Acquire().
void AwaitSleep(pid_t thread_id) {
  const std::string path =
      "/proc/self/task/" + std::to_string(thread_id) + "/stat";
  std::string line;
  do {
    std::this_thread::yield();
    std::ifstream file(path);
    std::getline(file, line);
  } while (line.find(") S ") == std::string::npos);
}

TEST(KeyedMutexTest, WaitersGetItInOrderOfArrival) {
  KeyedMutex mutex;
  absl::Mutex mu;
  std::vector<int> order;
  auto first = mutex.Acquire("pod", absl::InfiniteFuture());
  ASSERT_TRUE(first.ok());
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    absl::Notification started;
    pid_t thread_id = 0;
    threads.emplace_back([&mutex, &mu, &order, &started, &thread_id, i] {
      thread_id = gettid();
      started.Notify();
      const auto lock = mutex.Acquire("pod", absl::InfiniteFuture());
      absl::MutexLock guard(&mu);
      order.push_back(i);
    });
    started.WaitForNotification();
    AwaitSleep(thread_id);
  }
  *first = KeyedMutex::Lock();
  for (std::thread& thread : threads) {
    thread.join();
  }
  EXPECT_THAT(order, ElementsAre(0, 1, 2, 3));
}

TEST(KeyedMutexTest, ExcludesUnderContention) {
  KeyedMutex mutex;
  int counters[2] = {0, 0};  // each guarded by its key only
  std::vector<std::thread> threads;
  for (int i = 0; i < 8; ++i) {
    threads.emplace_back([&, i] {
      for (int n = 0; n < 500; ++n) {
        const auto lock =
            mutex.Acquire(i % 2 == 0 ? "even" : "odd", absl::InfiniteFuture());
        ++counters[i % 2];
      }
    });
  }
  for (std::thread& thread : threads) {
    thread.join();
  }
  EXPECT_THAT(counters, ElementsAre(2000, 2000));
}

}  // namespace
}  // namespace quoll::os
