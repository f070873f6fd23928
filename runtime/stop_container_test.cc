// SPDX-License-Identifier: Apache-2.0
#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include <array>
#include <memory>
#include <thread>
#include <vector>

#include "absl/time/clock.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "os/process.h"
#include "runtime/test_node.h"
#include "tests/support/status_matchers.h"

namespace quoll::runtime {
namespace {

using ::quoll::testing::IsOk;
using ::quoll::testing::StatusIs;

// Containers whose init is a real process of ours.
class StopContainerTest : public ::testing::Test {
 protected:
  ~StopContainerTest() override {
    for (std::thread& waiter : waiters_) {
      waiter.join();
    }
  }

  // A running container whose init runs `script` in a shell, which closes its
  // standard output when its traps are set.
  std::string Run(const std::string& script) {
    node_.mortal_monitors.SetInit(
        [this, script](const std::string& id) { return Spawn(id, script); });
    return node_.MakeRunning(pod_);
  }

  absl::Time Stop(const std::string& id, absl::Duration grace) {
    EXPECT_THAT(node_.containers().Stop(id, grace, {}), IsOk());
    return absl::Now();
  }

  TestNode node_;
  const std::string pod_ = node_.MakeSandbox();

 private:
  os::ProcessIdentity Spawn(const std::string& id, const std::string& script) {
    std::array<int, 2> pipe{};
    EXPECT_EQ(pipe2(pipe.data(), O_CLOEXEC), 0);
    os::SpawnRequest request;
    request.argv = {"/bin/sh", "-c", script};
    request.env = {"PATH=/usr/bin:/bin"};
    request.fds = {{pipe[1], 1}};
    auto spawned = os::Spawn(request);
    EXPECT_THAT(spawned, IsOk());
    close(pipe[1]);
    char byte = 0;
    EXPECT_EQ(read(pipe[0], &byte, 1), 0);  // until it is closed
    close(pipe[0]);
    const os::ProcessIdentity identity = spawned->identity();
    // What a monitor does.
    waiters_.emplace_back(
        [this, id, init = std::make_shared<os::Pidfd>(*std::move(spawned))] {
          EXPECT_THAT(init->AwaitExit(absl::Now() + absl::Seconds(60)), IsOk());
          const auto exit = init->Reap();
          ASSERT_THAT(exit, IsOk());
          node_.monitors.End(
              id, {.exit_code = exit->ShellCode(),
                   .signal = exit->signal,
                   .oom_killed = false,
                   .finished_at_ns = absl::ToUnixNanos(absl::Now())});
        });
    return identity;
  }

  std::vector<std::thread> waiters_;
};

constexpr char kIgnoresTerm[] =
    "trap '' TERM; exec >&-; while :; do sleep 0.05 2>/dev/null; done";
constexpr char kObeys[] =
    "trap 'exit 7' TERM; exec >&-; while :; do sleep 0.05; done";

TEST_F(StopContainerTest, StopSignalIsEnoughForWhoListens) {
  const std::string id = Run(kObeys);
  Stop(id, absl::Minutes(10));
  EXPECT_EQ(node_.containers().Get(id)->exit_code(), 7);
  Stop(id, absl::ZeroDuration());
}

TEST_F(StopContainerTest, KillsAfterGraceWhenTermIsIgnored) {
  const std::string id = Run(kIgnoresTerm);
  const absl::Time start = absl::Now();
  EXPECT_GE(Stop(id, absl::Milliseconds(300)) - start, absl::Milliseconds(300));
  EXPECT_EQ(node_.containers().Get(id)->exit_code(), 137);
}

TEST_F(StopContainerTest, NoGraceKillsAtOnce) {
  const std::string id = Run(kObeys);
  Stop(id, absl::ZeroDuration());
  EXPECT_EQ(node_.containers().Get(id)->exit_code(), 137);
}

TEST_F(StopContainerTest, LaterCallShortensTheWaitOfAnEarlierOne) {
  const std::string id = Run(kIgnoresTerm);
  std::thread patient([&] { Stop(id, absl::Hours(1)); });
  Stop(id, absl::Milliseconds(100));
  patient.join();
  EXPECT_EQ(node_.containers().Get(id)->exit_code(), 137);
}

TEST_F(StopContainerTest, GoesOnWhenItsCallerLeaves) {
  const std::string id = Run(kIgnoresTerm);
  EXPECT_THAT(
      node_.containers().Stop(
          id, absl::Milliseconds(200),
          {.deadline = absl::Now() + absl::Milliseconds(20), .cancelled = {}}),
      StatusIs(absl::StatusCode::kDeadlineExceeded));
  EXPECT_TRUE(TestNode::Eventually([&] {
    return node_.containers().Get(id)->phase() == state::v1::CONTAINER_EXITED;
  }));
}

TEST_F(StopContainerTest, RemoveDoesNotWaitForAPatientStop) {
  const std::string id = Run(kIgnoresTerm);
  std::thread patient([&] { Stop(id, absl::Hours(1)); });
  EXPECT_THAT(node_.containers().Remove(id, {}), IsOk());
  patient.join();
  EXPECT_TRUE(node_.containers().List().empty());
}

TEST_F(StopContainerTest, DaemonThatStopsDoesNotWaitForGrace) {
  const std::string id = Run(kIgnoresTerm);
  EXPECT_THAT(
      node_.containers().Stop(
          id, absl::Hours(1),
          {.deadline = absl::Now() + absl::Milliseconds(20), .cancelled = {}}),
      StatusIs(absl::StatusCode::kDeadlineExceeded));
  ASSERT_THAT(node_.Restart(), IsOk());
  EXPECT_EQ(node_.containers().Get(id)->phase(), state::v1::CONTAINER_RUNNING);
  Stop(id, absl::ZeroDuration());
}

TEST_F(StopContainerTest, RunningContainerIsFoundAgainAfterARestart) {
  const std::string id = Run(kObeys);
  ASSERT_THAT(node_.Restart(), IsOk());
  EXPECT_EQ(node_.containers().Get(id)->phase(), state::v1::CONTAINER_RUNNING);
  Stop(id, absl::Minutes(10));
  EXPECT_EQ(node_.containers().Get(id)->exit_code(), 7);
}

TEST_F(StopContainerTest, LostMonitorOfALiveContainerIsUnknownUntilStopped) {
  const std::string id = Run(kObeys);
  node_.monitors.Lose(id);
  ASSERT_TRUE(TestNode::Eventually([&] {
    return node_.containers().Get(id)->phase() == state::v1::CONTAINER_UNKNOWN;
  }));
  // The fake's Discard cannot kill our process.
  const auto record = node_.containers().Get(id);
  auto init = os::Pidfd::Open(
      {record->init().pid(), record->init().start_time_ticks()});
  ASSERT_THAT(init, IsOk());
  EXPECT_THAT(node_.containers().Start(id, {}),
              StatusIs(absl::StatusCode::kFailedPrecondition));
  EXPECT_THAT(node_.containers().Stop(id, absl::Seconds(1), {}), IsOk());
  EXPECT_EQ(node_.containers().Get(id)->phase(), state::v1::CONTAINER_EXITED);
  EXPECT_EQ(node_.containers().Get(id)->exit_code(), 255);
  EXPECT_THAT(init->Signal(SIGKILL), IsOk());
}

}  // namespace
}  // namespace quoll::runtime
