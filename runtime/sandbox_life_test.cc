// SPDX-License-Identifier: Apache-2.0
#include <atomic>
#include <thread>
#include <vector>

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
using ::quoll::testing::StatusIs;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::SizeIs;

constexpr auto kInvalid = absl::StatusCode::kInvalidArgument;

TEST(SandboxLifeTest, RunMakesEverythingAndRemoveLeavesNothing) {
  TestNode node;
  node.options.default_sysctls = {{"net.ipv4.ip_unprivileged_port_start", "0"}};
  ASSERT_THAT(node.Restart(), IsOk());
  auto record = node.sandboxes().Run(TestNode::PodSpec(), {});
  ASSERT_THAT(record, IsOk());
  EXPECT_EQ(record->phase(), state::v1::SANDBOX_READY);
  EXPECT_THAT(record->ips(), SizeIs(1));
  EXPECT_GE(record->ready_at_ns(), record->created_at_ns());
  EXPECT_EQ(record->cgroup_parent(), "/quoll/" + record->id());

  const auto pinned = node.host.pinned();
  ASSERT_THAT(pinned, SizeIs(1));
  const os::PinRequest& pin = pinned.begin()->second;
  EXPECT_TRUE(pin.net && pin.ipc && pin.uts);
  EXPECT_FALSE(pin.pid);
  EXPECT_EQ(pin.hostname, "web");
  EXPECT_THAT(pin.sysctls, SizeIs(1));
  EXPECT_EQ(*os::ReadFile(node.paths.ResolvConf(record->id())),
            "nameserver 10.0.0.10\n");
  EXPECT_EQ(*os::ReadFile(node.paths.HostnameFile(record->id())), "web\n");
  ASSERT_THAT(node.mounter.mounted(), SizeIs(1));
  EXPECT_EQ(node.mounter.mounted()[0].target, node.paths.Shm(record->id()));

  EXPECT_THAT(node.sandboxes().Get(record->id().substr(0, 8)), IsOk());
  EXPECT_THAT(node.sandboxes().List(), SizeIs(1));
  EXPECT_THAT(node.sandboxes().Stop(record->id(), {}), IsOk());
  EXPECT_EQ(node.sandboxes().Get(record->id())->phase(),
            state::v1::SANDBOX_STOPPED);
  EXPECT_THAT(node.sandboxes().Stop(record->id(), {}), IsOk());
  EXPECT_THAT(node.sandboxes().Remove(record->id(), {}), IsOk());
  EXPECT_THAT(node.sandboxes().Remove(record->id(), {}), IsOk());
  EXPECT_THAT(node.sandboxes().Get(record->id()),
              StatusIs(absl::StatusCode::kNotFound));
  EXPECT_EQ(node.Leftovers(), "");
}

TEST(SandboxLifeTest, HostNamespacesNeedNothingOfTheirOwn) {
  TestNode node;
  SandboxSpec spec = TestNode::PodSpec();
  spec.mutable_namespaces()->set_network(state::v1::NAMESPACE_NODE);
  spec.mutable_namespaces()->set_ipc(state::v1::NAMESPACE_NODE);
  node.network.SetReady(absl::FailedPreconditionError("no network"));
  auto record = node.sandboxes().Run(spec, {});
  ASSERT_THAT(record, IsOk());
  EXPECT_TRUE(node.host.pinned().empty());
  EXPECT_TRUE(node.mounter.mounted().empty());
  EXPECT_TRUE(record->ips().empty());
  EXPECT_THAT(node.sandboxes().Remove(record->id(), {}), IsOk());
  EXPECT_EQ(node.Leftovers(), "");
}

TEST(SandboxLifeTest, SharedPidNamespaceHasAPauseProcessInTheGivenCgroup) {
  TestNode node;
  SandboxSpec spec = TestNode::PodSpec();
  spec.mutable_namespaces()->set_pid(state::v1::NAMESPACE_POD);
  spec.set_cgroup_parent("/kubepods/pod1");
  auto record = node.sandboxes().Run(spec, {});
  ASSERT_THAT(record, IsOk());
  EXPECT_EQ(record->cgroup_parent(), "/kubepods/pod1");
  EXPECT_NE(record->pause().pid(), 0);
  const os::PinRequest pin = node.host.pinned().begin()->second;
  EXPECT_TRUE(pin.pid);
  EXPECT_THAT(pin.pause_cgroup_procs_files,
              ElementsAre(HasSubstr("/kubepods/pod1/" + record->id())));
  EXPECT_THAT(node.sandboxes().Remove(record->id(), {}), IsOk());
  EXPECT_EQ(node.Leftovers(), "");
}

TEST(SandboxLifeTest, GivenCgroupGoesWithTheLastPodOnlyIfWeMadeIt) {
  TestNode node;
  const auto run = [&](const std::string& name, const std::string& parent) {
    SandboxSpec spec = TestNode::PodSpec(name);
    spec.set_cgroup_parent(parent);
    const auto record = node.sandboxes().Run(spec, {});
    EXPECT_THAT(record, IsOk());
    return record->id();
  };
  ASSERT_THAT(node.cgroups().Create("/kubelets"), IsOk());
  const std::string a = run("a", "/kubelets");
  const std::string b = run("b", "/shared");
  const std::string c = run("c", "/shared");
  EXPECT_THAT(node.sandboxes().Remove(a, {}), IsOk());
  EXPECT_TRUE(node.cgroups().Exists("/kubelets"));
  EXPECT_THAT(node.sandboxes().Remove(b, {}), IsOk());
  EXPECT_TRUE(node.cgroups().Exists("/shared"));
  EXPECT_THAT(node.sandboxes().Remove(c, {}), IsOk());
  EXPECT_FALSE(node.cgroups().Exists("/shared"));
}

TEST(SandboxLifeTest, SaysWhatIsWrongWithARequest) {
  TestNode node;
  const auto run = [&](auto change) {
    SandboxSpec spec = TestNode::PodSpec();
    change(spec);
    return node.sandboxes().Run(spec, {}).status();
  };
  EXPECT_THAT(run([](auto& s) { s.clear_name(); }),
              StatusIs(kInvalid, HasSubstr("metadata.name")));
  EXPECT_THAT(run([](auto& s) { s.clear_uid(); }),
              StatusIs(kInvalid, HasSubstr("metadata.uid")));
  EXPECT_THAT(run([](auto& s) { s.clear_namespace_(); }),
              StatusIs(kInvalid, HasSubstr("metadata.namespace")));
  EXPECT_THAT(run([](auto& s) { s.set_runtime_handler("kata"); }),
              StatusIs(absl::StatusCode::kNotFound, HasSubstr("runc")));
  EXPECT_THAT(run([](auto& s) { (*s.mutable_sysctls())["vm.swap"] = "1"; }),
              StatusIs(kInvalid, HasSubstr("vm.swap")));
  EXPECT_THAT(run([](auto& s) { s.set_cgroup_parent("kubepods.slice"); }),
              StatusIs(kInvalid, HasSubstr("cgroupfs")));
  EXPECT_THAT(run([](auto& s) { s.set_cgroup_parent("/a/../../b"); }),
              StatusIs(kInvalid));
  EXPECT_EQ(node.Leftovers(), "");
}

TEST(SandboxLifeTest, NetworkThatIsNotReadyIsTheFirstError) {
  TestNode node;
  node.network.SetReady(absl::FailedPreconditionError("no CNI config"));
  EXPECT_THAT(node.sandboxes().Run(TestNode::PodSpec(), {}),
              StatusIs(absl::StatusCode::kFailedPrecondition,
                       HasSubstr("no CNI config")));
  EXPECT_EQ(node.Leftovers(), "");
}

TEST(SandboxLifeTest, TheSameIsHandedOverAndAnotherOneRefused) {
  TestNode node;
  const std::string id = node.MakeSandbox();
  EXPECT_EQ(node.sandboxes().Run(TestNode::PodSpec(), {})->id(), id);
  SandboxSpec other = TestNode::PodSpec();
  (*other.mutable_labels())["a"] = "b";
  EXPECT_THAT(node.sandboxes().Run(other, {}),
              StatusIs(absl::StatusCode::kAlreadyExists, HasSubstr("attempt")));
  EXPECT_THAT(node.sandboxes().Stop(id, {}), IsOk());
  EXPECT_THAT(node.sandboxes().Run(TestNode::PodSpec(), {}),
              StatusIs(absl::StatusCode::kFailedPrecondition));
  other.set_attempt(1);
  EXPECT_THAT(node.sandboxes().Run(other, {}), IsOk());
}

TEST(SandboxLifeTest, CallersJoinAndLeaveOnTheirOwn) {
  TestNode node;
  absl::Notification gate;
  node.network.SetAttachGate(&gate);
  std::atomic<bool> leave = false;
  absl::Status left;
  std::thread leaver([&] {
    os::Call call;
    call.cancelled = [&leave] { return leave.load(); };
    left = node.sandboxes().Run(TestNode::PodSpec(), call).status();
  });
  ASSERT_TRUE(TestNode::Eventually(
      [&] { return node.network.Requests().size() == 1; }));
  std::string joined;
  std::thread joiner(
      [&] { joined = node.sandboxes().Run(TestNode::PodSpec(), {})->id(); });
  leave = true;
  leaver.join();
  EXPECT_THAT(left, StatusIs(absl::StatusCode::kCancelled));
  EXPECT_TRUE(node.sandboxes().List().empty());
  SandboxSpec other = TestNode::PodSpec();
  other.set_hostname("other");
  EXPECT_THAT(node.sandboxes().Run(other, {}),
              StatusIs(absl::StatusCode::kAlreadyExists));
  EXPECT_THAT(
      node.sandboxes().Run(
          TestNode::PodSpec(),
          {.deadline = absl::Now() + absl::Milliseconds(20), .cancelled = {}}),
      StatusIs(absl::StatusCode::kDeadlineExceeded));
  gate.Notify();
  joiner.join();
  EXPECT_EQ(node.sandboxes().Run(TestNode::PodSpec(), {})->id(), joined);
  EXPECT_THAT(node.network.Requests(), SizeIs(1));
}

TEST(SandboxLifeTest, ResultThatNobodyTookWaitsForTheNextCall) {
  TestNode node;
  absl::Notification gate;
  node.network.SetAttachGate(&gate);
  EXPECT_THAT(
      node.sandboxes().Run(
          TestNode::PodSpec(),
          {.deadline = absl::Now() + absl::Milliseconds(20), .cancelled = {}}),
      StatusIs(absl::StatusCode::kDeadlineExceeded));
  gate.Notify();
  EXPECT_THAT(node.sandboxes().Run(TestNode::PodSpec(), {}), IsOk());
  EXPECT_THAT(node.network.Requests(), SizeIs(1));
}

TEST(SandboxLifeTest, EachStepThatFailsLeavesNothing) {
  for (int k = 1;; ++k) {
    SCOPED_TRACE(k);
    TestNode node;
    node.fate.Set(Fate::Kind::kFails, k);
    const absl::Status status =
        node.sandboxes().Run(TestNode::PodSpec(), {}).status();
    if (!node.fate.Struck()) {
      EXPECT_THAT(status, IsOk());
      EXPECT_GT(k, 6);
      return;
    }
    EXPECT_THAT(status, StatusIs(absl::StatusCode::kUnavailable,
                                 HasSubstr("struck by the test")));
    EXPECT_TRUE(TestNode::Eventually([&] { return node.Leftovers().empty(); }))
        << node.Leftovers();
    EXPECT_THAT(node.sandboxes().Run(TestNode::PodSpec(), {}), IsOk());
  }
}

TEST(SandboxLifeTest, FailedUndoIsRepeated) {
  TestNode node;
  node.network.SetAttachError(absl::UnavailableError("IPAM is down"));
  // Intent, pin, network intent, attach; then the first step of the undo.
  node.fate.Set(Fate::Kind::kFails, 6);
  EXPECT_THAT(node.sandboxes().Run(TestNode::PodSpec(), {}),
              StatusIs(absl::StatusCode::kUnavailable, HasSubstr("IPAM")));
  EXPECT_TRUE(TestNode::Eventually([&] { return node.Leftovers().empty(); }))
      << node.Leftovers();
}

// Every way to die in a Run, a Stop or a Remove ends, after a restart and the
// calls that a kubelet would repeat, with nothing left.
TEST(SandboxLifeTest, SurvivesDeathAtEachStep) {
  for (const Fate::Kind kind :
       {Fate::Kind::kDiesBefore, Fate::Kind::kDiesAfter}) {
    for (int k = 1;; ++k) {
      SCOPED_TRACE(k);
      TestNode node;
      node.fate.Set(kind, k);
      const auto made = node.sandboxes().Run(TestNode::PodSpec(), {});
      if (made.ok()) {
        (void)node.sandboxes().Stop(made->id(), {});
        (void)node.sandboxes().Remove(made->id(), {});
      }
      const bool struck = node.fate.Struck();
      ASSERT_THAT(node.Restart(), IsOk());
      for (const SandboxRecord& record : node.sandboxes().List()) {
        EXPECT_THAT(node.sandboxes().Remove(record.id(), {}), IsOk());
      }
      EXPECT_TRUE(TestNode::Eventually([&] {
        return node.Leftovers().empty();
      })) << node.Leftovers();
      EXPECT_THAT(node.sandboxes().Run(TestNode::PodSpec(), {}), IsOk());
      if (!struck) {
        EXPECT_GT(k, 10);
        break;
      }
    }
  }
}

TEST(SandboxLifeTest, StopGoesOnWhenTheNetworkCannotBeDetached) {
  TestNode node;
  const std::string id = node.MakeSandbox();
  node.network.SetDetachError(absl::UnavailableError("plugin crashed"));
  EXPECT_THAT(node.sandboxes().Stop(id, {}), IsOk());
  EXPECT_TRUE(node.network.OwesDetach(id));
  EXPECT_THAT(node.sandboxes().Remove(id, {}), IsOk());
  // Plugins find its namespace until one of them has succeeded.
  EXPECT_FALSE(node.host.pinned().empty());
  node.network.SetDetachError(absl::OkStatus());
  node.network.RetryOwed();
  EXPECT_TRUE(TestNode::Eventually([&] { return node.Leftovers().empty(); }))
      << node.Leftovers();
}

TEST(SandboxLifeTest, NamespacesThatWaitForADetachAreFoundAfterARestart) {
  for (const bool remove : {false, true}) {
    TestNode node;
    const std::string other = node.MakeSandbox();
    const auto made = node.sandboxes().Run(TestNode::PodSpec("web2"), {});
    ASSERT_THAT(made, IsOk());
    const std::string id = made->id();
    node.network.SetDetachError(absl::UnavailableError("plugin crashed"));
    EXPECT_THAT(node.sandboxes().Stop(id, {}), IsOk());
    if (remove) {
      EXPECT_THAT(node.sandboxes().Remove(id, {}), IsOk());
    }
    ASSERT_THAT(node.Restart(), IsOk());
    EXPECT_TRUE(os::Exists(node.paths.Namespaces(id)));
    node.network.SetDetachError(absl::OkStatus());
    node.network.RetryOwed();
    EXPECT_TRUE(TestNode::Eventually(
        [&] { return !os::Exists(node.paths.Namespaces(id)); }));
    EXPECT_TRUE(os::Exists(node.paths.Namespaces(other)));
  }
}

TEST(SandboxLifeTest, StopAndRemoveAtOnceFromManySides) {
  TestNode node;
  const std::string id = node.MakeSandbox();
  node.MakeRunning(id);
  std::vector<std::thread> callers;
  callers.reserve(8);
  for (int i = 0; i < 8; ++i) {
    callers.emplace_back([&, i] {
      EXPECT_THAT(i % 2 == 0 ? node.sandboxes().Stop(id, {})
                             : node.sandboxes().Remove(id, {}),
                  IsOk());
    });
  }
  for (std::thread& caller : callers) {
    caller.join();
  }
  EXPECT_EQ(node.Leftovers(), "");
}

TEST(SandboxLifeTest, ManyAtOnce) {
  TestNode node;
  std::vector<std::thread> callers;
  callers.reserve(50);
  for (int i = 0; i < 50; ++i) {
    callers.emplace_back([&, i] {
      auto pod = node.sandboxes().Run(
          TestNode::PodSpec("pod" + std::to_string(i)), {});
      ASSERT_THAT(pod, IsOk());
      node.MakeRunning(pod->id());
    });
  }
  for (std::thread& caller : callers) {
    caller.join();
  }
  EXPECT_THAT(node.containers().List(), SizeIs(50));
  for (const SandboxRecord& record : node.sandboxes().List()) {
    EXPECT_THAT(node.sandboxes().Remove(record.id(), {}), IsOk());
  }
  EXPECT_EQ(node.Leftovers(), "");
}

TEST(SandboxLifeTest, UnknownAndAmbiguousIds) {
  TestNode node;
  EXPECT_THAT(node.sandboxes().Stop("beef", {}), IsOk());
  EXPECT_THAT(node.sandboxes().Remove("beef", {}), IsOk());
  EXPECT_THAT(node.sandboxes().Get("beef"),
              StatusIs(absl::StatusCode::kNotFound));
  EXPECT_THAT(node.sandboxes().Get(""), StatusIs(kInvalid));
  for (int i = 0; i < 17; ++i) {  // two of them begin with the same digit
    ASSERT_THAT(
        node.sandboxes().Run(TestNode::PodSpec("p" + std::to_string(i)), {}),
        IsOk());
  }
  int ambiguous = 0;
  for (const char digit : std::string("0123456789abcdef")) {
    const auto found = node.sandboxes().Stop(std::string(1, digit), {});
    ambiguous += absl::IsInvalidArgument(found) ? 1 : 0;
  }
  EXPECT_GT(ambiguous, 0);
}

}  // namespace
}  // namespace quoll::runtime
