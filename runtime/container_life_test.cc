// SPDX-License-Identifier: Apache-2.0
#include <signal.h>

#include <thread>
#include <vector>

#include "absl/strings/match.h"
#include "absl/synchronization/notification.h"
#include "absl/time/clock.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "os/files.h"
#include "runtime/test_node.h"
#include "tests/support/status_matchers.h"

namespace quoll::runtime {
namespace {

using ::quoll::testing::IsOk;
using ::quoll::testing::IsOkAndHolds;
using ::quoll::testing::StatusIs;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::SizeIs;

constexpr auto kInvalid = absl::StatusCode::kInvalidArgument;
constexpr auto kPrecondition = absl::StatusCode::kFailedPrecondition;

ExitRecord Exit(int code, bool oom = false) {
  return {.exit_code = code,
          .signal = 0,
          .oom_killed = oom,
          .finished_at_ns = absl::ToUnixNanos(absl::Now())};
}

bool ReachesPhase(TestNode& node, const std::string& id, ContainerPhase phase) {
  return TestNode::Eventually([&] {
    const auto record = node.containers().Get(id);
    return record.ok() && record->phase() == phase;
  });
}

TEST(ContainerLifeTest, FromCreateToRemove) {
  TestNode node;
  const std::string pod = node.MakeSandbox();
  bool recorded = false;
  auto record =
      node.containers().Create(TestNode::ContainerSpecIn(pod), {}, [&] {
        recorded = true;
        EXPECT_THAT(node.records.LoadAll()->containers, SizeIs(1));
      });
  ASSERT_THAT(record, IsOk());
  const std::string id = record->id();
  EXPECT_TRUE(recorded);
  EXPECT_EQ(record->phase(), state::v1::CONTAINER_CREATED);
  EXPECT_EQ(record->log_path(), "/var/log/pods/web/nginx/0.log");
  EXPECT_EQ(record->cgroups_path(), "/quoll/" + pod + "/" + id);
  EXPECT_EQ(record->stop_signal(), SIGTERM);
  EXPECT_EQ(record->runtime_name(), "runc");
  EXPECT_THAT(node.runtime().LayersInUse(),
              IsOkAndHolds(ElementsAre("/layers/base")));
  EXPECT_THAT(*node.containers().OciSpec(id), HasSubstr("/bin/nginx"));

  EXPECT_THAT(node.containers().Start(id, {}), IsOk());
  EXPECT_THAT(node.containers().Start(id, {}), IsOk());
  EXPECT_EQ(node.containers().Get(id)->phase(), state::v1::CONTAINER_RUNNING);
  EXPECT_GT(node.containers().Get(id)->started_at_ns(), 0);

  node.monitors.End(id, Exit(3));
  ASSERT_TRUE(ReachesPhase(node, id, state::v1::CONTAINER_EXITED));
  const auto ended = node.containers().Get(id);
  EXPECT_EQ(ended->exit_code(), 3);
  EXPECT_EQ(ended->reason(), "Error");
  EXPECT_LE(ended->started_at_ns(), ended->finished_at_ns());
  EXPECT_THAT(node.containers().Start(id, {}), StatusIs(kPrecondition));
  EXPECT_THAT(node.containers().Stop(id, absl::Seconds(1), {}), IsOk());
  EXPECT_THAT(node.containers().Remove(id, {}), IsOk());
  EXPECT_THAT(node.containers().Remove(id, {}), IsOk());
  EXPECT_THAT(node.sandboxes().Remove(pod, {}), IsOk());
  EXPECT_EQ(node.Leftovers(), "");
}

TEST(ContainerLifeTest, ReasonsOfAnEnd) {
  TestNode node;
  const std::string pod = node.MakeSandbox();
  const auto reason = [&](auto end) {
    const std::string id = node.MakeRunning(pod);
    end(id);
    EXPECT_TRUE(ReachesPhase(node, id, state::v1::CONTAINER_EXITED));
    std::string text = node.containers().Get(id)->reason();
    EXPECT_THAT(node.containers().Remove(id, {}), IsOk());
    return text;
  };
  EXPECT_EQ(reason([&](auto& id) { node.monitors.End(id, Exit(0)); }),
            "Completed");
  EXPECT_EQ(reason([&](auto& id) { node.monitors.End(id, Exit(1)); }), "Error");
  EXPECT_EQ(reason([&](auto& id) { node.monitors.End(id, Exit(137, true)); }),
            "OOMKilled");
  EXPECT_EQ(reason([&](auto& id) { node.monitors.Lose(id); }), "Unknown");
}

TEST(ContainerLifeTest, EndThatCameBeforeTheStartWasNoted) {
  TestNode node;
  const std::string pod = node.MakeSandbox();
  const std::string id = node.MakeContainer(pod);
  absl::Notification gate;
  node.oci.SetGate(FakeOciRuntime::Step::kStart, &gate);
  std::thread starter(
      [&] { EXPECT_THAT(node.containers().Start(id, {}), IsOk()); });
  ASSERT_TRUE(TestNode::Eventually([&] {
    return !node.oci.calls().empty() &&
           node.oci.calls().back() == "start " + id;
  }));
  node.monitors.End(id, Exit(0));
  gate.Notify();
  starter.join();
  ASSERT_TRUE(ReachesPhase(node, id, state::v1::CONTAINER_EXITED));
  const auto record = node.containers().Get(id);
  EXPECT_GT(record->started_at_ns(), 0);
  EXPECT_LE(record->started_at_ns(), record->finished_at_ns());
}

TEST(ContainerLifeTest, CommandThatCannotBeStarted) {
  TestNode node;
  const std::string pod = node.MakeSandbox();
  const std::string id = node.MakeContainer(pod);
  node.oci.SetError(FakeOciRuntime::Step::kStart,
                    absl::InternalError("exec: no such file"));
  EXPECT_THAT(node.containers().Start(id, {}),
              StatusIs(absl::StatusCode::kInternal, HasSubstr("no such file")));
  const auto record = node.containers().Get(id);
  EXPECT_EQ(record->phase(), state::v1::CONTAINER_EXITED);
  EXPECT_EQ(record->reason(), "StartError");
  EXPECT_EQ(record->exit_code(), 128);
  EXPECT_THAT(record->message(), HasSubstr("no such file"));
  EXPECT_TRUE(node.monitors.running().empty());
}

TEST(ContainerLifeTest, SaysWhatIsWrongWithARequest) {
  TestNode node;
  const std::string pod = node.MakeSandbox();
  const auto create = [&](auto change) {
    ContainerSpec spec = TestNode::ContainerSpecIn(pod);
    change(spec);
    return node.containers().Create(spec, {}, nullptr).status();
  };
  EXPECT_THAT(create([](auto& s) { s.set_sandbox_id("beef"); }),
              StatusIs(absl::StatusCode::kNotFound));
  EXPECT_THAT(create([](auto& s) { s.clear_name(); }),
              StatusIs(kInvalid, HasSubstr("metadata.name")));
  EXPECT_THAT(create([](auto& s) { s.set_log_path("../../etc/passwd"); }),
              StatusIs(kInvalid, HasSubstr("log_path")));
  EXPECT_THAT(create([](auto& s) { s.set_log_path("/etc/passwd"); }),
              StatusIs(kInvalid, HasSubstr("log_path")));
  EXPECT_THAT(create([](auto& s) {
                s.mutable_image_config()->set_stop_signal("SIGFOO");
              }),
              StatusIs(kInvalid, HasSubstr("SIGFOO")));
  EXPECT_THAT(
      create([](auto& s) { s.mutable_security()->set_privileged(true); }),
      StatusIs(kInvalid, HasSubstr("privileged")));
  EXPECT_THAT(create([](auto& s) {
                s.mutable_namespaces()->set_pid(state::v1::NAMESPACE_POD);
              }),
              StatusIs(kInvalid, HasSubstr("POD")));
  EXPECT_TRUE(node.containers().List().empty());
  EXPECT_TRUE(node.monitors.running().empty());
}

TEST(ContainerLifeTest, MissingHostPaths) {
  TestNode node;
  node.options.never_create_host_paths = {"/mnt/nfs"};
  ASSERT_THAT(node.Restart(), IsOk());
  const std::string pod = node.MakeSandbox();
  node.host.SetPath("/data", absl::NotFoundError("no /data"));
  node.host.SetPath("/mnt/nfs/x", absl::NotFoundError("no /mnt/nfs/x"));
  node.host.SetPath("/dead", absl::DeadlineExceededError("/dead hangs"));
  const auto create = [&](const std::string& path) {
    ContainerSpec spec = TestNode::ContainerSpecIn(pod);
    spec.set_name("c" + path);
    auto* mount = spec.add_mounts();
    mount->set_host_path(path);
    mount->set_container_path("/x");
    return node.containers().Create(spec, {}, nullptr).status();
  };
  EXPECT_THAT(create("/data"), IsOk());
  EXPECT_THAT(create("/mnt/nfs/x"), StatusIs(kInvalid, HasSubstr("/mnt/nfs")));
  EXPECT_THAT(create("/dead"), StatusIs(absl::StatusCode::kDeadlineExceeded,
                                        HasSubstr("/dead")));
  node.options.create_missing_host_paths = false;
  ASSERT_THAT(node.Restart(), IsOk());
  node.host.SetPath("/other", absl::NotFoundError("no /other"));
  EXPECT_THAT(create("/other"),
              StatusIs(kInvalid, HasSubstr("missing_host_path")));
}

TEST(ContainerLifeTest, NothingIsMadeInASandboxThatStops) {
  TestNode node;
  const std::string pod = node.MakeSandbox();
  const std::string id = node.MakeContainer(pod);
  EXPECT_THAT(node.sandboxes().Stop(pod, {}), IsOk());
  EXPECT_EQ(node.containers().Get(id)->phase(), state::v1::CONTAINER_EXITED);
  EXPECT_EQ(node.containers().Get(id)->exit_code(), 137);
  ContainerSpec spec = TestNode::ContainerSpecIn(pod, "late");
  EXPECT_THAT(node.containers().Create(spec, {}, nullptr),
              StatusIs(kPrecondition));
  EXPECT_THAT(node.containers().Start(id, {}), StatusIs(kPrecondition));
  EXPECT_THAT(
      node.containers().ExecSync(id, {"true"}, absl::InfiniteDuration(), {}),
      StatusIs(kPrecondition));
}

TEST(ContainerLifeTest, StopOfTheSandboxOvertakesASlowCreate) {
  TestNode node;
  const std::string pod = node.MakeSandbox();
  absl::Notification gate;
  node.monitors.SetGate(FakeMonitors::Step::kLaunch, &gate);
  absl::Status created;
  std::thread creator([&] {
    created = node.containers()
                  .Create(TestNode::ContainerSpecIn(pod), {}, nullptr)
                  .status();
  });
  ASSERT_TRUE(TestNode::Eventually(
      [&] { return node.monitors.launches().size() == 1; }));
  std::thread stopper(
      [&] { EXPECT_THAT(node.sandboxes().Stop(pod, {}), IsOk()); });
  ASSERT_TRUE(TestNode::Eventually([&] {
    return node.sandboxes().Get(pod)->phase() == state::v1::SANDBOX_STOPPING;
  }));
  gate.Notify();
  creator.join();
  stopper.join();
  EXPECT_THAT(created, StatusIs(kPrecondition, HasSubstr("stop")));
  EXPECT_TRUE(node.monitors.running().empty());
  EXPECT_THAT(node.sandboxes().Remove(pod, {}), IsOk());
  EXPECT_EQ(node.Leftovers(), "");
}

TEST(ContainerLifeTest, EachStepOfACreateThatFailsLeavesNothing) {
  for (int k = 1;; ++k) {
    SCOPED_TRACE(k);
    TestNode node;
    const std::string pod = node.MakeSandbox();
    node.fate.Set(Fate::Kind::kFails, k);
    const auto spec = TestNode::ContainerSpecIn(pod);
    const auto made = node.containers().Create(spec, {}, nullptr);
    if (!node.fate.Struck()) {
      EXPECT_THAT(made, IsOk());
      EXPECT_GT(k, 4);
      return;
    }
    EXPECT_THAT(made, StatusIs(absl::StatusCode::kUnavailable));
    EXPECT_TRUE(TestNode::Eventually(
        [&] { return node.records.LoadAll()->containers.empty(); }));
    EXPECT_TRUE(node.monitors.running().empty());
    EXPECT_THAT(node.containers().Create(spec, {}, nullptr), IsOk());
    EXPECT_THAT(node.sandboxes().Remove(pod, {}), IsOk());
    EXPECT_EQ(node.Leftovers(), "");
  }
}

TEST(ContainerLifeTest, SurvivesDeathAtEachStep) {
  for (const Fate::Kind kind :
       {Fate::Kind::kDiesBefore, Fate::Kind::kDiesAfter}) {
    for (int k = 1;; ++k) {
      SCOPED_TRACE(k);
      TestNode node;
      const std::string pod = node.MakeSandbox();
      node.fate.Set(kind, k);
      const auto made =
          node.containers().Create(TestNode::ContainerSpecIn(pod), {}, nullptr);
      if (made.ok()) {
        (void)node.containers().Start(made->id(), {});
        (void)node.containers().Remove(made->id(), {});
      }
      const bool struck = node.fate.Struck();
      ASSERT_THAT(node.Restart(), IsOk());
      EXPECT_EQ(node.sandboxes().Get(pod)->phase(), state::v1::SANDBOX_READY);
      for (const ContainerRecord& record : node.containers().List()) {
        EXPECT_THAT(node.containers().Remove(record.id(), {}), IsOk());
      }
      EXPECT_THAT(node.sandboxes().Remove(pod, {}), IsOk());
      EXPECT_TRUE(TestNode::Eventually([&] {
        return node.Leftovers().empty();
      })) << node.Leftovers();
      if (!struck) {
        EXPECT_GT(k, 8);
        break;
      }
    }
  }
}

TEST(ContainerLifeTest, RemoveOfARunningOneKillsIt) {
  TestNode node;
  const std::string pod = node.MakeSandbox();
  const std::string id = node.MakeRunning(pod);
  EXPECT_THAT(node.containers().Remove(id, {}), IsOk());
  EXPECT_TRUE(node.containers().List().empty());
  EXPECT_THAT(node.monitors.discarded(), Contains(id));
}

TEST(ContainerLifeTest, TheSameIsHandedOverAndAnotherOneRefused) {
  TestNode node;
  const std::string pod = node.MakeSandbox();
  const std::string id = node.MakeContainer(pod);
  bool recorded = false;
  EXPECT_EQ(
      node.containers()
          .Create(TestNode::ContainerSpecIn(pod), {}, [&] { recorded = true; })
          ->id(),
      id);
  EXPECT_TRUE(recorded);
  ContainerSpec other = TestNode::ContainerSpecIn(pod);
  other.add_args("-v");
  EXPECT_THAT(node.containers().Create(other, {}, nullptr),
              StatusIs(absl::StatusCode::kAlreadyExists));
  EXPECT_THAT(node.containers().Stop(id, absl::ZeroDuration(), {}), IsOk());
  EXPECT_THAT(
      node.containers().Create(TestNode::ContainerSpecIn(pod), {}, nullptr),
      StatusIs(kPrecondition, HasSubstr("attempt")));
}

TEST(ContainerLifeTest, ExecUsesTheProcessOfTheContainer) {
  TestNode node;
  const std::string pod = node.MakeSandbox();
  const std::string id = node.MakeRunning(pod);
  node.monitors.SetExec([](const ExecRequest& request) {
    EXPECT_THAT(request.process_json, HasSubstr("date"));
    return ExecResult{.exit_code = 4, .out = "o", .err = "e"};
  });
  const auto result =
      node.containers().ExecSync(id, {"date"}, absl::InfiniteDuration(), {});
  ASSERT_THAT(result, IsOk());
  EXPECT_EQ(result->exit_code, 4);
  EXPECT_THAT(node.containers().ExecSync(id, {}, absl::Seconds(1), {}),
              StatusIs(kInvalid));
  EXPECT_THAT(node.containers().ReopenLog(id, {}), IsOk());
  EXPECT_THAT(node.monitors.reopened(), SizeIs(1));
}

}  // namespace
}  // namespace quoll::runtime
