// SPDX-License-Identifier: Apache-2.0
#include "runtime/monitor/fake_monitors.h"

#include <signal.h>

#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "runtime/monitor/fake_oci_runtime.h"
#include "tests/support/status_matchers.h"

namespace quoll::runtime {
namespace {

using ::quoll::testing::IsOk;
using ::quoll::testing::StatusIs;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

class FakeMonitorsTest : public ::testing::Test {
 protected:
  LaunchedContainer Launch(const std::string& id) {
    MonitorLaunch launch;
    launch.container_id = id;
    const absl::StatusOr<LaunchedContainer> launched =
        monitors_.Launch(launch, absl::InfiniteFuture());
    EXPECT_THAT(launched, IsOk());
    return launched.value_or(LaunchedContainer{});
  }
  absl::Status Watch(const std::string& id,
                     const LaunchedContainer& container) {
    return monitors_.Watch(id, "/b", container,
                           [this](const absl::StatusOr<ExitRecord>& record) {
                             exits_.push_back(record);
                           });
  }
  FakeMonitors monitors_;
  std::vector<absl::StatusOr<ExitRecord>> exits_;
};

TEST_F(FakeMonitorsTest, AnExitIsToldOnceNowOrLater) {
  const LaunchedContainer container = Launch("c1");
  ASSERT_THAT(Watch("c1", container), IsOk());
  monitors_.End("c1", {.exit_code = 3});
  monitors_.End("c1", {.exit_code = 4});
  ASSERT_EQ(exits_.size(), 1u);
  EXPECT_EQ(exits_[0]->exit_code, 3);
  ASSERT_THAT(Watch("c1", container), IsOk());  // after a restart
  ASSERT_EQ(exits_.size(), 2u);
  EXPECT_EQ(exits_[1]->exit_code, 3);
}

TEST_F(FakeMonitorsTest, LostAndRebooted) {
  const LaunchedContainer container = Launch("c1");
  ASSERT_THAT(Watch("c1", container), IsOk());
  monitors_.Lose("c1");
  ASSERT_EQ(exits_.size(), 1u);
  EXPECT_THAT(exits_[0], StatusIs(absl::StatusCode::kDataLoss));
  monitors_.Reboot();
  EXPECT_THAT(Watch("c1", container), StatusIs(absl::StatusCode::kNotFound));
}

TEST_F(FakeMonitorsTest, UnwatchedMeansNotCalled) {
  ASSERT_THAT(Watch("c1", Launch("c1")), IsOk());
  monitors_.Unwatch("c1");
  monitors_.End("c1", {});
  EXPECT_THAT(exits_, IsEmpty());
}

TEST_F(FakeMonitorsTest, DiscardIsRepeatable) {
  Launch("c1");
  EXPECT_THAT(monitors_.running(), ElementsAre("c1"));
  EXPECT_THAT(monitors_.Discard("c1", "/b", {}, absl::InfiniteFuture()),
              IsOk());
  EXPECT_THAT(monitors_.Discard("c1", "/b", {}, absl::InfiniteFuture()),
              IsOk());
  EXPECT_THAT(monitors_.running(), IsEmpty());
}

TEST_F(FakeMonitorsTest, GatesAndErrors) {
  absl::Notification never;
  monitors_.SetGate(FakeMonitors::Step::kExecSync, &never);
  EXPECT_THAT(monitors_.ExecSync({}, absl::Now(), nullptr),
              StatusIs(absl::StatusCode::kDeadlineExceeded));
  monitors_.SetGate(FakeMonitors::Step::kExecSync, nullptr);
  monitors_.SetError(FakeMonitors::Step::kExecSync, absl::DataLossError("x"));
  EXPECT_THAT(monitors_.ExecSync({}, absl::InfiniteFuture(), nullptr),
              StatusIs(absl::StatusCode::kDataLoss));
  monitors_.SetError(FakeMonitors::Step::kExecSync, absl::OkStatus());
  EXPECT_THAT(monitors_.ExecSync({}, absl::InfiniteFuture(), nullptr), IsOk());
}

TEST(FakeOciRuntimeTest, RemembersCallsAndKills) {
  FakeMonitors monitors;
  FakeOciRuntime runtime("crun");
  MonitorLaunch launch;
  launch.container_id = "c1";
  ASSERT_THAT(monitors.Launch(launch, absl::InfiniteFuture()), IsOk());
  runtime.SetOnKill([&](const std::string& id, int signo) {
    monitors.End(id, {.exit_code = 128 + signo, .signal = signo});
  });
  EXPECT_THAT(runtime.Start("c1", absl::InfiniteFuture()), IsOk());
  EXPECT_THAT(runtime.KillAll("c1", SIGKILL, absl::InfiniteFuture()), IsOk());
  EXPECT_THAT(runtime.calls(), ElementsAre("start c1", "kill c1 9"));
  EXPECT_THAT(monitors.running(), IsEmpty());
}

}  // namespace
}  // namespace quoll::runtime
