// SPDX-License-Identifier: Apache-2.0
#include <signal.h>

#include "absl/time/clock.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "os/files.h"
#include "runtime/test_node.h"
#include "tests/support/status_matchers.h"

namespace quoll::runtime {
namespace {

using ::quoll::testing::IsOk;
using ::quoll::testing::StatusIs;
using ::testing::HasSubstr;
using ::testing::SizeIs;

bool HasPhase(TestNode& node, const std::string& id, ContainerPhase phase) {
  return TestNode::Eventually([&] {
    const auto record = node.containers().Get(id);
    return record.ok() && record->phase() == phase;
  });
}

TEST(RecoverTest, LiveThingsAreAdoptedAsTheyAre) {
  TestNode node;
  const std::string pod = node.MakeSandbox();
  const std::string id = node.MakeRunning(pod);
  const std::string created =
      node.containers()
          .Create(TestNode::ContainerSpecIn(pod, "other"), {}, nullptr)
          ->id();
  const std::string before = node.sandboxes().Get(pod)->SerializeAsString();
  for (int restarts = 0; restarts < 2; ++restarts) {
    ASSERT_THAT(node.Restart(), IsOk());
    EXPECT_EQ(node.sandboxes().Get(pod)->SerializeAsString(), before);
    EXPECT_EQ(node.containers().Get(id)->phase(), state::v1::CONTAINER_RUNNING);
    EXPECT_EQ(node.containers().Get(created)->phase(),
              state::v1::CONTAINER_CREATED);
    EXPECT_TRUE(node.monitors.IsWatched(id));
  }
  EXPECT_THAT(node.containers().Start(created, {}), IsOk());
  EXPECT_THAT(node.sandboxes().Remove(pod, {}), IsOk());
  EXPECT_EQ(node.Leftovers(), "");
}

TEST(RecoverTest, ExitsThatCameInBetweenAreRight) {
  TestNode node;
  const std::string pod = node.MakeSandbox();
  const std::string id = node.MakeRunning(pod);
  node.fate.Set(Fate::Kind::kDiesBefore, 1);  // it is never written down
  node.monitors.End(id, {.exit_code = 42,
                         .signal = 0,
                         .oom_killed = false,
                         .finished_at_ns = 1'900'000'000'000'000'000});
  ASSERT_THAT(node.Restart(), IsOk());
  ASSERT_TRUE(HasPhase(node, id, state::v1::CONTAINER_EXITED));
  EXPECT_EQ(node.containers().Get(id)->exit_code(), 42);
  EXPECT_EQ(node.containers().Get(id)->finished_at_ns(),
            1'900'000'000'000'000'000);
}

TEST(RecoverTest, StartThatWasDoneButNotNotedIsRunning) {
  TestNode node;
  const std::string pod = node.MakeSandbox();
  const std::string id = node.MakeContainer(pod);
  // 1: the intent of the start; 2: the start itself.
  node.fate.Set(Fate::Kind::kDiesAfter, 2);
  EXPECT_FALSE(node.containers().Start(id, {}).ok());
  ASSERT_THAT(node.Restart(), IsOk());
  EXPECT_TRUE(HasPhase(node, id, state::v1::CONTAINER_RUNNING));
}

TEST(RecoverTest, RebootEndsEverythingAndKeepsTheRecords) {
  TestNode node;
  const std::string pod = node.MakeSandbox();
  const std::string running = node.MakeRunning(pod);
  node.Reboot();
  EXPECT_NE(node.sandboxes().Get(pod)->phase(), state::v1::SANDBOX_READY);
  const auto record = node.containers().Get(running);
  EXPECT_EQ(record->phase(), state::v1::CONTAINER_EXITED);
  EXPECT_EQ(record->exit_code(), 255);
  EXPECT_EQ(record->reason(), "Unknown");
  EXPECT_THAT(record->message(), HasSubstr("restarted"));
  EXPECT_TRUE(TestNode::Eventually([&] {
    return node.sandboxes().Get(pod)->phase() == state::v1::SANDBOX_STOPPED;
  }));
  EXPECT_TRUE(node.network.Attached().empty());
  EXPECT_THAT(node.sandboxes().Remove(pod, {}), IsOk());
  EXPECT_EQ(node.Leftovers(), "");
}

TEST(RecoverTest, AnotherBootIsKnownEvenWhenRunSurvives) {
  TestNode node;
  const std::string pod = node.MakeSandbox();
  const std::string id = node.MakeRunning(pod);
  ASSERT_THAT(os::ReplaceFile(node.paths.BootId(), "another boot\n", 0644),
              IsOk());
  ASSERT_THAT(node.Restart(), IsOk());
  EXPECT_EQ(node.containers().Get(id)->phase(), state::v1::CONTAINER_EXITED);
  EXPECT_NE(node.sandboxes().Get(pod)->phase(), state::v1::SANDBOX_READY);
}

TEST(RecoverTest, MonitorThatWasLostEndsAsUnknown) {
  TestNode node;
  const std::string id = node.MakeRunning(node.MakeSandbox());
  node.monitors.Lose(id);
  ASSERT_TRUE(HasPhase(node, id, state::v1::CONTAINER_EXITED));
  EXPECT_EQ(node.containers().Get(id)->exit_code(), 255);
  EXPECT_THAT(node.containers().Get(id)->message(), HasSubstr("monitor"));
}

TEST(RecoverTest, NothingIsSweptOnDoubt) {
  TestNode node;
  const std::string pod = node.MakeSandbox();
  const std::string stranger(64, 'e');
  const std::string orphan = node.paths.ContainerState(stranger);
  ASSERT_THAT(os::MakeDirectories(orphan + "/upper", 0755), IsOk());
  node.records.SetUnreadable({std::string(64, 'f')});
  ASSERT_THAT(node.Restart(), IsOk());
  ASSERT_THAT(node.Restart(), IsOk());  // waits for what the first one began
  EXPECT_TRUE(os::Exists(orphan));
  EXPECT_THAT(node.runtime().LayersInUse(),
              StatusIs(absl::StatusCode::kFailedPrecondition));
  node.records.SetUnreadable({});
  ASSERT_THAT(node.Restart(), IsOk());
  EXPECT_TRUE(TestNode::Eventually([&] { return !os::Exists(orphan); }));
  EXPECT_EQ(node.sandboxes().Get(pod)->phase(), state::v1::SANDBOX_READY);
}

TEST(RecoverTest, ManyContainersAreAdoptedFast) {
  TestNode node;
  const std::string pod = node.MakeSandbox();
  const auto one = node.containers().Get(node.MakeRunning(pod));
  ASSERT_THAT(one, IsOk());
  for (int i = 0; i < 1000; ++i) {
    ContainerRecord record = *one;
    record.mutable_spec()->set_attempt(static_cast<uint32_t>(i + 1));
    record.set_id(std::string(60, 'a') + std::to_string(1000 + i));
    ASSERT_THAT(node.records.PutContainer(record), IsOk());
  }
  const absl::Time start = absl::Now();
  ASSERT_THAT(node.Restart(), IsOk());
  EXPECT_LT(absl::Now() - start, absl::Seconds(5));  // a loaded machine
  EXPECT_THAT(node.containers().List(), SizeIs(1001));
}

}  // namespace
}  // namespace quoll::runtime
