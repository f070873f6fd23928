// SPDX-License-Identifier: Apache-2.0
#include "os/event_loop.h"

#include <fcntl.h>
#include <sys/epoll.h>
#include <unistd.h>

#include <atomic>
#include <memory>
#include <thread>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "absl/synchronization/notification.h"
#include "absl/time/clock.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "os/unique_fd.h"

namespace quoll::os {
namespace {

using ::testing::ElementsAre;

class EventLoopTest : public ::testing::Test {
 protected:
  void SetUp() override {
    auto loop = EventLoop::Create();
    ASSERT_TRUE(loop.ok()) << loop.status();
    loop_ = *std::move(loop);
    int fds[2];
    ASSERT_EQ(pipe2(fds, O_CLOEXEC | O_NONBLOCK), 0);
    read_end_ = UniqueFd(fds[0]);
    write_end_ = UniqueFd(fds[1]);
  }

  void MakeReadable() { ASSERT_EQ(write(write_end_.get(), "x", 1), 1); }
  void Drain() {
    char byte;
    ASSERT_EQ(read(read_end_.get(), &byte, 1), 1);
  }
  // Returns when everything that was posted before has run.
  void Flush() {
    absl::Notification done;
    loop_->Post([&] { done.Notify(); });
    done.WaitForNotification();
  }

  UniqueFd read_end_;
  UniqueFd write_end_;
  std::unique_ptr<EventLoop> loop_;  // stopped before the pipe is closed
};

TEST_F(EventLoopTest, CallsBackOnItsOwnThread) {
  absl::Notification called;
  std::thread::id where;
  uint32_t seen = 0;
  const auto token = loop_->Add(read_end_.get(), EPOLLIN, [&](uint32_t events) {
    Drain();
    where = std::this_thread::get_id();
    seen = events;
    called.Notify();
  });
  ASSERT_TRUE(token.ok()) << token.status();
  MakeReadable();
  called.WaitForNotification();
  EXPECT_NE(where, std::this_thread::get_id());
  EXPECT_EQ(seen, uint32_t{EPOLLIN});
  loop_->Remove(*token);
}

TEST_F(EventLoopTest, BadDescriptorIsAnError) {
  EXPECT_FALSE(loop_->Add(-1, EPOLLIN, [](uint32_t) {}).ok());
}

TEST_F(EventLoopTest, SecondWatchOfADescriptorIsAlreadyExists) {
  ASSERT_TRUE(loop_->Add(read_end_.get(), EPOLLIN, [](uint32_t) {}).ok());
  EXPECT_EQ(
      loop_->Add(read_end_.get(), EPOLLIN, [](uint32_t) {}).status().code(),
      absl::StatusCode::kAlreadyExists);
}

TEST_F(EventLoopTest, CallbackMayRemoveItself) {
  int calls = 0;
  EventLoop::Token token = 0;
  absl::Notification called;
  absl::Notification added;
  const auto result = loop_->Add(read_end_.get(), EPOLLIN, [&](uint32_t) {
    added.WaitForNotification();
    loop_->Remove(token);
    ++calls;
    called.Notify();
  });
  ASSERT_TRUE(result.ok());
  token = *result;
  added.Notify();
  MakeReadable();  // never drained: level-triggered, would call again
  called.WaitForNotification();
  Flush();
  EXPECT_EQ(calls, 1);
}

TEST_F(EventLoopTest, RemoveWaitsForARunningCallback) {
  absl::Notification entered;
  absl::Notification leave;
  std::atomic<bool> left = false;
  const auto token = loop_->Add(read_end_.get(), EPOLLIN, [&](uint32_t) {
    if (!entered.HasBeenNotified()) {
      entered.Notify();
    }
    leave.WaitForNotification();
    left = true;
  });
  ASSERT_TRUE(token.ok());
  MakeReadable();
  entered.WaitForNotification();
  std::thread remover([&] {
    loop_->Remove(*token);
    EXPECT_TRUE(left);
  });
  leave.Notify();
  remover.join();
}

TEST_F(EventLoopTest, RemoveReleasesWhatTheCallbackHeld) {
  auto held = std::make_shared<int>(1);
  const auto token =
      loop_->Add(read_end_.get(), EPOLLIN, [held, this](uint32_t) { Drain(); });
  ASSERT_TRUE(token.ok());
  MakeReadable();
  Flush();
  loop_->Remove(*token);
  EXPECT_EQ(held.use_count(), 1);
}

TEST_F(EventLoopTest, RemovingAnUnknownTokenDoesNothing) {
  loop_->Remove(12345);
}

TEST_F(EventLoopTest, PostedWorkRunsInOrder) {
  std::vector<int> order;
  for (int i = 0; i < 3; ++i) {
    loop_->Post([&order, i] { order.push_back(i); });
  }
  Flush();
  EXPECT_THAT(order, ElementsAre(0, 1, 2));
}

TEST_F(EventLoopTest, WorkMayPostMoreWithoutStarvingDescriptors) {
  absl::Notification called;
  std::function<void()> again = [&] {
    if (!called.HasBeenNotified()) {
      loop_->Post(again);
    }
  };
  loop_->Post(again);
  const auto token = loop_->Add(read_end_.get(), EPOLLIN, [&](uint32_t) {
    Drain();
    called.Notify();
  });
  ASSERT_TRUE(token.ok());
  MakeReadable();
  called.WaitForNotification();
  loop_->Remove(*token);
  Flush();
}

TEST_F(EventLoopTest, TimersRunInOrderOfTimeAndNotEarly) {
  absl::Mutex mu;
  std::vector<int> order;
  absl::Notification done;
  const absl::Time start = absl::Now();
  const absl::Time late = start + absl::Milliseconds(30);
  absl::Time ran;
  loop_->PostAt(late, [&] {
    ran = absl::Now();
    order.push_back(2);
    done.Notify();
  });
  loop_->PostAt(start + absl::Milliseconds(5), [&] { order.push_back(1); });
  loop_->PostAt(absl::InfinitePast(), [&] { order.push_back(0); });
  loop_->PostAt(absl::InfiniteFuture(), [&] { order.push_back(3); });
  done.WaitForNotification();
  EXPECT_THAT(order, ElementsAre(0, 1, 2));
  EXPECT_GE(ran, late - absl::Milliseconds(1));
}

TEST_F(EventLoopTest, DestructionDropsWorkAndItsCaptures) {
  auto held = std::make_shared<int>(1);
  loop_->PostAt(absl::Now() + absl::Hours(1), [held] {});
  ASSERT_TRUE(loop_->Add(read_end_.get(), EPOLLIN, [held](uint32_t) {}).ok());
  loop_.reset();
  EXPECT_EQ(held.use_count(), 1);
}

TEST_F(EventLoopTest, IsSafeFromManyThreads) {
  std::atomic<int> ran = 0;
  std::vector<std::thread> threads;
  for (int i = 0; i < 8; ++i) {
    threads.emplace_back([&] {
      for (int n = 0; n < 200; ++n) {
        int fds[2];
        ASSERT_EQ(pipe2(fds, O_CLOEXEC), 0);
        UniqueFd in(fds[0]);
        UniqueFd out(fds[1]);
        const auto token = loop_->Add(in.get(), EPOLLIN, [](uint32_t) {});
        ASSERT_TRUE(token.ok());
        ASSERT_EQ(write(out.get(), "x", 1), 1);
        loop_->Post([&] { ++ran; });
        loop_->Remove(*token);
      }
    });
  }
  for (std::thread& thread : threads) {
    thread.join();
  }
  Flush();
  EXPECT_EQ(ran, 1600);
}

}  // namespace
}  // namespace quoll::os
