// SPDX-License-Identifier: Apache-2.0
#include <signal.h>

#include <atomic>
#include <thread>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "runtime/ending.h"
#include "runtime/pod_files.h"
#include "runtime/stop_signal.h"
#include "runtime/table.h"
#include "runtime/validate.h"
#include "runtime/workers.h"
#include "tests/support/status_matchers.h"

namespace quoll::runtime {
namespace {

using ::quoll::testing::IsOkAndHolds;
using ::quoll::testing::StatusIs;

constexpr auto kInvalid = absl::StatusCode::kInvalidArgument;

TEST(StopSignalTest, AllSpellings) {
  EXPECT_THAT(ParseSignal("SIGTERM"), IsOkAndHolds(SIGTERM));
  EXPECT_THAT(ParseSignal("quit"), IsOkAndHolds(SIGQUIT));
  EXPECT_THAT(ParseSignal("15"), IsOkAndHolds(15));
  EXPECT_THAT(ParseSignal("SIGRTMIN+3"), IsOkAndHolds(37));
  EXPECT_THAT(ParseSignal("RTMAX-1"), IsOkAndHolds(63));
  for (const char* bad : {"", "0", "65", "-1", "SIGFOO", "SIGRTMIN+99",
                          "RTMIN3", "15x", "SIGRTMAX+1"}) {
    EXPECT_THAT(ParseSignal(bad), StatusIs(kInvalid)) << bad;
  }
}

TEST(ValidateTest, PathsOfLogsAndCgroups) {
  EXPECT_THAT(LogPath("/var/log", "a/0.log"), IsOkAndHolds("/var/log/a/0.log"));
  EXPECT_THAT(LogPath("/var/log/", "a"), IsOkAndHolds("/var/log/a"));
  EXPECT_THAT(LogPath("", "a"), IsOkAndHolds(""));
  EXPECT_THAT(LogPath("/var/log", ""), IsOkAndHolds(""));
  EXPECT_THAT(LogPath("/var/log", "a/../../b"), StatusIs(kInvalid));
  EXPECT_THAT(LogPath("/var/log", "/b"), StatusIs(kInvalid));
  EXPECT_THAT(CgroupParent("kubepods/a/"), IsOkAndHolds("/kubepods/a"));
  EXPECT_THAT(CgroupParent("a.slice"), StatusIs(kInvalid));
}

TEST(ValidateTest, Below) {
  EXPECT_TRUE(IsBelow("/mnt/nfs", "/mnt/nfs"));
  EXPECT_TRUE(IsBelow("/mnt/nfs/a", "/mnt/nfs/"));
  EXPECT_FALSE(IsBelow("/mnt/nfs2", "/mnt/nfs"));
  EXPECT_TRUE(IsBelow("/a", "/"));
}

TEST(ValidateTest, OwnersOfSysctls) {
  EXPECT_EQ(NamespaceOfSysctl("net.ipv4.ip_forward"), "net");
  EXPECT_EQ(NamespaceOfSysctl("net/ipv4/conf/eth0.1/forwarding"), "net");
  EXPECT_EQ(NamespaceOfSysctl("kernel.shmmax"), "ipc");
  EXPECT_EQ(NamespaceOfSysctl("fs.mqueue.msg_max"), "ipc");
  EXPECT_EQ(NamespaceOfSysctl("kernel.domainname"), "uts");
  EXPECT_EQ(NamespaceOfSysctl("kernel.pid_max"), "");
  EXPECT_EQ(NamespaceOfSysctl("vm.swappiness"), "");
}

TEST(ValidateTest, WordsOfResolvConfCannotAddLines) {
  SandboxSpec spec;
  spec.set_name("a");
  spec.set_uid("b");
  spec.set_namespace_("c");
  spec.mutable_dns()->add_servers("1.2.3.4\noptions evil");
  EXPECT_THAT(ValidateSandbox(spec), StatusIs(kInvalid));
}

TEST(PodFilesTest, ResolvConf) {
  state::v1::Dns dns;
  dns.add_servers("1.1.1.1");
  dns.add_servers("2.2.2.2");
  dns.add_searches("a.b");
  dns.add_searches("c");
  dns.add_options("ndots:5");
  EXPECT_EQ(ResolvConfText(dns),
            "search a.b c\nnameserver 1.1.1.1\nnameserver 2.2.2.2\n"
            "options ndots:5\n");
  EXPECT_EQ(ResolvConfText({}), "");
}

TEST(TableTest, PrefixesAndKeys) {
  Table table;
  SandboxRecord record;
  record.set_id("ab1");
  record.mutable_spec()->set_name("x");
  record.set_phase(state::v1::SANDBOX_READY);
  table.Put(record);
  record.set_id("ab2");
  record.mutable_spec()->set_name("y");
  table.Put(record);
  record.set_id("ac");
  record.mutable_spec()->set_name("z");
  record.set_phase(state::v1::SANDBOX_CREATING);
  table.Put(record);
  EXPECT_EQ((*table.FindSandbox("ab1"))->id(), "ab1");
  EXPECT_THAT(table.FindSandbox("ab"), StatusIs(kInvalid));
  EXPECT_THAT(table.FindSandbox("ac"), StatusIs(absl::StatusCode::kNotFound));
  EXPECT_NE(table.SandboxByKey(SandboxKey(record.spec())), nullptr);
  table.EraseSandbox("ac");
  EXPECT_EQ(table.SandboxByKey(SandboxKey(record.spec())), nullptr);
  table.EraseSandbox("ab2");
  EXPECT_EQ((*table.FindSandbox("ab"))->id(), "ab1");
}

TEST(TableTest, KeysOfDifferentThingsDiffer) {
  SandboxSpec a;
  a.set_name("b/c");
  a.set_namespace_("a");
  SandboxSpec b;
  b.set_name("c");
  b.set_namespace_("a/b");
  EXPECT_NE(SandboxKey(a), SandboxKey(b));
}

TEST(EndingTest, LaterCallWithLessPatienceShortensTheWait) {
  Ending ending;
  ending.KillBy(absl::Now() + absl::Hours(1));
  std::thread waiter(
      [&] { EXPECT_EQ(ending.AwaitKillTime(), Ending::Outcome::kTimeIsUp); });
  ending.KillBy(absl::Now());
  ending.KillBy(absl::Now() + absl::Hours(1));
  waiter.join();
  ending.MarkEnded();
  EXPECT_EQ(ending.Await(absl::InfiniteFuture()), Ending::Outcome::kEnded);
}

TEST(WorkersTest, RunsEverythingBeforeItEnds) {
  std::atomic<int> done = 0;
  {
    Workers workers(3);
    for (int i = 0; i < 100; ++i) {
      workers.Run([&] { ++done; });
    }
    workers.RunAfter(absl::Hours(1), [&] { done += 1000; });
    workers.Run([&] { workers.Run([&] { ++done; }); });
    workers.Shutdown();
    EXPECT_FALSE(workers.Run([&] { ++done; }));
  }
  EXPECT_EQ(done, 101);
}

TEST(WorkersTest, ParallelWorkIsDoneOnceEach) {
  Workers workers(8);
  std::vector<std::atomic<int>> counts(100);
  ForEachParallel(workers, counts.size(), 4, [&](size_t i) { ++counts[i]; });
  for (const auto& count : counts) {
    EXPECT_EQ(count, 1);
  }
}

}  // namespace
}  // namespace quoll::runtime
