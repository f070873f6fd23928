// SPDX-License-Identifier: Apache-2.0
#include "runtime/network/detach_retrier.h"

#include <atomic>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/synchronization/mutex.h"
#include "absl/synchronization/notification.h"
#include "absl/time/clock.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "tests/support/status_matchers.h"

namespace quoll::runtime {
namespace {

using ::quoll::testing::IsOk;

constexpr DetachRetrier::Options kFast = {absl::Milliseconds(1),
                                          absl::Milliseconds(4), 2};

std::unique_ptr<DetachRetrier> Make(DetachRetrier::Options options,
                                    DetachRetrier::Attempt attempt) {
  auto retrier = DetachRetrier::Create(options, std::move(attempt));
  EXPECT_THAT(retrier, IsOk());
  return *std::move(retrier);
}

void AwaitSettled(const DetachRetrier& retrier, const std::string& id) {
  while (retrier.Owes(id)) {
    std::this_thread::yield();
  }
}

TEST(DetachRetrierTest, RepeatsUntilItSucceeds) {
  std::atomic<int> attempts = 0;
  auto retrier = Make(kFast, [&](const std::string& id) {
    EXPECT_EQ(id, "pod");
    return ++attempts < 5 ? absl::UnavailableError("not yet")
                          : absl::OkStatus();
  });
  retrier->Owe("pod", 0);
  AwaitSettled(*retrier, "pod");
  EXPECT_EQ(attempts, 5);
}

TEST(DetachRetrierTest, WaitsLongerEachTimeUpToTheMaximum) {
  absl::Mutex mu;
  std::vector<absl::Time> times;
  auto retrier = Make({absl::Milliseconds(4), absl::Milliseconds(16), 1},
                      [&](const std::string&) -> absl::Status {
                        absl::MutexLock lock(&mu);
                        times.push_back(absl::Now());
                        return times.size() < 6
                                   ? absl::UnavailableError("not yet")
                                   : absl::OkStatus();
                      });
  retrier->Owe("pod", 0);
  AwaitSettled(*retrier, "pod");
  const int expected_ms[] = {4, 8, 16, 16, 16};
  for (size_t i = 0; i + 1 < times.size(); ++i) {
    // One millisecond for two clocks that are read at different moments.
    EXPECT_GE(times[i + 1] - times[i], absl::Milliseconds(expected_ms[i] - 1));
  }
}

TEST(DetachRetrierTest, OneThatHangsDoesNotHoldUpOthers) {
  absl::Notification entered;
  absl::Notification release;
  auto retrier = Make(kFast, [&](const std::string& id) {
    if (id == "hangs") {
      entered.Notify();
      release.WaitForNotification();
    }
    return absl::OkStatus();
  });
  retrier->Owe("hangs", 0);
  entered.WaitForNotification();
  retrier->Owe("other", 0);
  AwaitSettled(*retrier, "other");
  EXPECT_TRUE(retrier->Owes("hangs"));
  release.Notify();
  AwaitSettled(*retrier, "hangs");
}

TEST(DetachRetrierTest, SettledByOthersIsNotRepeated) {
  absl::Notification entered;
  absl::Notification release;
  std::atomic<int> attempts = 0;
  auto retrier = Make(kFast, [&](const std::string&) {
    ++attempts;
    entered.Notify();
    release.WaitForNotification();
    return absl::UnavailableError("no");
  });
  retrier->Owe("pod", 0);
  entered.WaitForNotification();
  retrier->Settle("pod");
  release.Notify();
  EXPECT_FALSE(retrier->Owes("pod"));
  retrier.reset();
  EXPECT_EQ(attempts, 1);
}

TEST(DetachRetrierTest, EndsAtOnceWithDebtsThatAreNotDue) {
  auto retrier = Make({absl::Hours(1), absl::Hours(1), 4},
                      [](const std::string&) { return absl::OkStatus(); });
  retrier->Owe("pod", 3);
  EXPECT_TRUE(retrier->Owes("pod"));
}

TEST(DetachRetrierTest, FailuresWithoutNumberDoNotOverflowTheWait) {
  auto retrier = Make({absl::Hours(1), absl::Hours(2), 1},
                      [](const std::string&) { return absl::OkStatus(); });
  retrier->Owe("pod", 4000000000u);
  EXPECT_TRUE(retrier->Owes("pod"));
}

}  // namespace
}  // namespace quoll::runtime
