// SPDX-License-Identifier: Apache-2.0
#include "runtime/network/cni_pod_network.h"

#include <signal.h>
#include <sys/mount.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "nlohmann/json.hpp"
#include "os/event_loop.h"
#include "os/process.h"
#include "os/record_db.h"
#include "runtime/network/pod_network_contract.h"
#include "runtime/network/scripted_plugins.h"
#include "tests/support/status_matchers.h"
#include "tests/support/temp_dir.h"

namespace quoll::runtime {
namespace {

using ::nlohmann::json;
using ::quoll::testing::IsOk;
using ::quoll::testing::StatusIs;
using ::quoll::testing::TempDir;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::SizeIs;

// A namespace that needs no privilege to be one: our own.
constexpr char kNetns[] = "/proc/self/ns/net";

constexpr char kTwoPlugins[] = R"({
  "cniVersion": "1.0.0",
  "name": "pods",
  "plugins": [
    {"type": "first", "bridge": "br0", "capabilities": {"dns": true}},
    {"type": "second", "capabilities": {"portMappings": true, "dns": false}}
  ]
})";

constexpr char kTryAgain[] =
    R"({"cniVersion":"1.0.0","code":11,"msg":"no address is free"})";

// The network over scripted plugins, with a database that survives Restart().
class Node {
 public:
  explicit Node(const std::string& config = kTwoPlugins)
      : plugins_(dir_.path()) {
    plugins_.Install("first");
    plugins_.Install("second");
    if (!config.empty()) {
      plugins_.WriteConfig("10-pods.conflist", config);
    }
    options_.conf_dir = plugins_.conf_dir();
    options_.bin_dirs = {dir_ / "nothing-here", plugins_.bin_dir()};
    options_.retry_min = absl::Milliseconds(1);
    options_.retry_max = absl::Milliseconds(20);
    options_.cleanup_timeout = absl::Seconds(5);
    Restart();
  }

  void Restart() {
    network_.reset();
    loop_.reset();
    db_.reset();
    auto db = os::RecordDb::Open(dir_ / "quoll.db");
    auto loop = os::EventLoop::Create();
    ASSERT_TRUE(db.ok()) << db.status();
    ASSERT_TRUE(loop.ok()) << loop.status();
    db_ = *std::move(db);
    loop_ = *std::move(loop);
    auto network = CniPodNetwork::Create(options_, *db_, *loop_);
    ASSERT_TRUE(network.ok()) << network.status();
    network_ = *std::move(network);
  }

  CniPodNetwork& network() { return *network_; }
  ScriptedPlugins& plugins() { return plugins_; }
  CniPodNetwork::Options& options() { return options_; }
  os::RecordDb& db() { return *db_; }

  size_t Records() const { return db_->LoadAll("cni")->size(); }

  bool AwaitSettled(const std::string& sandbox_id) {
    const absl::Time deadline = absl::Now() + absl::Seconds(30);
    while (network_->OwesDetach(sandbox_id) && absl::Now() < deadline) {
      std::this_thread::yield();
    }
    return !network_->OwesDetach(sandbox_id);
  }

 private:
  TempDir dir_;
  ScriptedPlugins plugins_;
  CniPodNetwork::Options options_;
  std::unique_ptr<os::RecordDb> db_;
  std::unique_ptr<os::EventLoop> loop_;
  std::unique_ptr<CniPodNetwork> network_;
};

PodNetwork::Request MakeRequest(const std::string& sandbox_id) {
  PodNetwork::Request request;
  request.sandbox_id = sandbox_id;
  request.netns_path = kNetns;
  request.pod_name = "web";
  request.pod_namespace = "shop";
  request.pod_uid = "3f2a";
  return request;
}

absl::Time Soon() {
  return absl::Now() + absl::Seconds(30);
}

bool IsAlive(int pid) {
  std::ifstream stat("/proc/" + std::to_string(pid) + "/stat");
  std::string line;
  std::getline(stat, line);
  // A zombie is dead: it waits for init, which is none of our business.
  return !line.empty() && !absl::StrContains(line, ") Z ");
}

void ExpectDead(const std::vector<int>& pids) {
  for (const int pid : pids) {
    const absl::Time deadline = Soon();
    while (IsAlive(pid) && absl::Now() < deadline) {
      std::this_thread::yield();
    }
    EXPECT_FALSE(IsAlive(pid)) << pid;
  }
}

// ------------------------------------------------------------ the contract

class ScriptedHarness : public PodNetworkHarness {
 public:
  PodNetwork& network() override { return node_.network(); }
  std::string MakeNetns(const std::string&) override { return kNetns; }
  void DestroyNetns(const std::string&) override {}
  void SetDetachFails(bool fails) override {
    if (fails) {
      node_.plugins().Fail("DEL.first", kTryAgain);
    } else {
      node_.plugins().Behave("DEL.first");
    }
  }
  void Restart() override { node_.Restart(); }
  void Poke() override {}

 private:
  Node node_;
};

std::unique_ptr<PodNetworkHarness> MakeScriptedHarness() {
  return std::make_unique<ScriptedHarness>();
}

INSTANTIATE_TEST_SUITE_P(Scripted, PodNetworkContract,
                         ::testing::Values(&MakeScriptedHarness));

// -------------------------------------------------- what plugins are told

TEST(CniPodNetworkTest, PluginsRunInOrderAndBackwardsForDel) {
  Node node;
  const auto attached = node.network().Attach(MakeRequest("pod-7"), Soon());
  ASSERT_THAT(attached, IsOk());
  EXPECT_THAT(attached->ips, ElementsAre("10.88.0.7"));
  EXPECT_THAT(node.network().Check("pod-7", Soon()), IsOk());
  EXPECT_THAT(node.network().Detach("pod-7", Soon()), IsOk());
  EXPECT_THAT(
      node.plugins().Log(),
      ElementsAre("ADD first pod-7", "ADD second pod-7", "CHECK first pod-7",
                  "CHECK second pod-7", "DEL second pod-7", "DEL first pod-7"));
  EXPECT_EQ(node.Records(), 0u);
}

TEST(CniPodNetworkTest, PluginsGetTheSpecsEnvironmentAndNothingElse) {
  setenv("QUOLL_TEST_SECRET", "1", 1);
  Node node;
  ASSERT_THAT(node.network().Attach(MakeRequest("pod-7"), Soon()), IsOk());
  const std::string env = node.plugins().Environment("ADD.first");
  EXPECT_THAT(
      env, AllOf(HasSubstr("CNI_CONTAINERID=pod-7\n"),
                 HasSubstr("CNI_IFNAME=eth0\n"),
                 HasSubstr("CNI_NETNS=/proc/self/ns/net\n"),
                 HasSubstr(absl::StrCat(":", node.plugins().bin_dir(), "\n")),
                 HasSubstr("CNI_ARGS=IgnoreUnknown=1;"
                           "K8S_POD_NAMESPACE=shop;K8S_POD_NAME=web;"
                           "K8S_POD_INFRA_CONTAINER_ID=pod-7;"
                           "K8S_POD_UID=3f2a\n"),
                 Not(HasSubstr("QUOLL_TEST_SECRET"))));
}

TEST(CniPodNetworkTest, CapabilitiesGoToThePluginsThatDeclareThem) {
  Node node;
  PodNetwork::Request request = MakeRequest("pod-7");
  request.dns.add_servers("10.0.0.10");
  auto& web = request.port_mappings.emplace_back();
  web.set_host_port(8080);
  web.set_container_port(80);
  web.set_protocol(state::v1::PortMapping::UDP);
  web.set_host_ip("127.0.0.1");
  auto& only_listens = request.port_mappings.emplace_back();
  only_listens.set_container_port(9000);
  ASSERT_THAT(node.network().Attach(request, Soon()), IsOk());

  const json first = json::parse(node.plugins().Stdin("ADD.first"));
  EXPECT_EQ(first["name"], "pods");
  EXPECT_EQ(first["cniVersion"], "1.0.0");
  EXPECT_EQ(first["bridge"], "br0");
  EXPECT_FALSE(first.contains("capabilities"));
  EXPECT_FALSE(first.contains("prevResult"));
  EXPECT_EQ(first["runtimeConfig"],
            json({{"dns", {{"servers", {"10.0.0.10"}}}}}));

  const json second = json::parse(node.plugins().Stdin("ADD.second"));
  EXPECT_EQ(second["prevResult"]["ips"][0]["address"], "10.88.0.7/16");
  EXPECT_EQ(second["runtimeConfig"]["portMappings"],
            json::array({{{"hostPort", 8080},
                          {"containerPort", 80},
                          {"protocol", "udp"},
                          {"hostIP", "127.0.0.1"}}}));
  EXPECT_FALSE(second["runtimeConfig"].contains("dns"));

  // DEL is told the same, with the final result.
  ASSERT_THAT(node.network().Detach("pod-7", Soon()), IsOk());
  const json del = json::parse(node.plugins().Stdin("DEL.second"));
  EXPECT_EQ(del["runtimeConfig"], second["runtimeConfig"]);
  EXPECT_EQ(del["prevResult"]["ips"][0]["address"], "10.88.0.7/16");
}

TEST(CniPodNetworkTest, OldVersionsHaveNoCheckAndNoResultInDel) {
  Node node(R"({"cniVersion":"0.3.1","name":"old",
                "plugins":[{"type":"first"}]})");
  ASSERT_THAT(node.network().Attach(MakeRequest("pod-7"), Soon()), IsOk());
  EXPECT_THAT(node.network().Check("pod-7", Soon()), IsOk());
  EXPECT_THAT(node.network().Detach("pod-7", Soon()), IsOk());
  EXPECT_THAT(node.plugins().Log(),
              ElementsAre("ADD first pod-7", "DEL first pod-7"));
  EXPECT_FALSE(
      json::parse(node.plugins().Stdin("DEL.first")).contains("prevResult"));
}

TEST(CniPodNetworkTest, DisabledCheckAsksNobody) {
  Node node(R"({"cniVersion":"1.0.0","name":"quiet","disableCheck":true,
                "plugins":[{"type":"first"}]})");
  ASSERT_THAT(node.network().Attach(MakeRequest("pod-7"), Soon()), IsOk());
  EXPECT_THAT(node.network().Check("pod-7", Soon()), IsOk());
  EXPECT_THAT(node.plugins().Log(), ElementsAre("ADD first pod-7"));
}

TEST(CniPodNetworkTest, DelOfALostNamespaceSaysSo) {
  Node node;
  PodNetwork::Request request = MakeRequest("pod-7");
  TempDir dir;
  request.netns_path = dir / "net";  // a pin after its unmount: a plain file
  std::ofstream(request.netns_path) << "";
  ASSERT_THAT(node.network().Attach(request, Soon()), IsOk());
  EXPECT_THAT(node.network().Detach("pod-7", Soon()), IsOk());
  EXPECT_THAT(node.plugins().Environment("DEL.first"),
              HasSubstr("CNI_NETNS=\n"));
}

TEST(CniPodNetworkTest, AttachmentKeepsTheConfigurationItStartedWith) {
  Node node;
  ASSERT_THAT(node.network().Attach(MakeRequest("pod-7"), Soon()), IsOk());
  node.plugins().WriteConfig("10-pods.conflist",
                             R"({"cniVersion":"1.0.0","name":"new",
                                 "plugins":[{"type":"second"}]})");
  node.Restart();
  EXPECT_THAT(node.network().Detach("pod-7", Soon()), IsOk());
  EXPECT_EQ(json::parse(node.plugins().Stdin("DEL.first"))["name"], "pods");
}

// --------------------------------------------------- what plugins do wrong

TEST(CniPodNetworkTest, FailureHalfWayIsUndoneBackwards) {
  Node node;
  node.plugins().Fail("ADD.second", kTryAgain);
  EXPECT_THAT(node.network().Attach(MakeRequest("pod-7"), Soon()),
              StatusIs(absl::StatusCode::kUnavailable,
                       AllOf(HasSubstr("sandbox pod-7: CNI ADD by plugin "
                                       "second: no address is free"),
                             HasSubstr("11"))));
  EXPECT_THAT(node.plugins().Log(),
              ElementsAre("ADD first pod-7", "ADD second pod-7",
                          "DEL second pod-7", "DEL first pod-7"));
  EXPECT_EQ(node.Records(), 0u);
  EXPECT_FALSE(node.network().OwesDetach("pod-7"));
}

TEST(CniPodNetworkTest, DelStopsAtTheFirstErrorAndIsRepeatedAsAWhole) {
  Node node;
  ASSERT_THAT(node.network().Attach(MakeRequest("pod-7"), Soon()), IsOk());
  node.plugins().Fail("DEL.second", kTryAgain);
  EXPECT_THAT(node.network().Detach("pod-7", Soon()),
              StatusIs(absl::StatusCode::kUnavailable));
  EXPECT_THAT(node.plugins().Log(),
              Not(::testing::Contains("DEL first pod-7")));
  node.plugins().Behave("DEL.second");
  EXPECT_TRUE(node.AwaitSettled("pod-7"));
  EXPECT_EQ(node.plugins().Log().back(), "DEL first pod-7");
  EXPECT_EQ(node.Records(), 0u);
}

TEST(CniPodNetworkTest, HangingAddIsKilledWithItsChildrenAndUndone) {
  Node node;
  node.plugins().Hang("ADD.second");
  EXPECT_THAT(node.network().Attach(MakeRequest("pod-7"),
                                    absl::Now() + absl::Milliseconds(500)),
              StatusIs(absl::StatusCode::kDeadlineExceeded,
                       HasSubstr("CNI ADD by plugin second")));
  ASSERT_THAT(node.plugins().HungPids("ADD.second"), SizeIs(2));
  ExpectDead(node.plugins().HungPids("ADD.second"));
  EXPECT_EQ(node.plugins().Log().back(), "DEL first pod-7");
  EXPECT_EQ(node.Records(), 0u);
}

TEST(CniPodNetworkTest, HangingDelAfterAHangingAddIsOwed) {
  Node node;
  node.options().cleanup_timeout = absl::Milliseconds(300);
  node.options().retry_timeout = absl::Milliseconds(300);
  node.Restart();
  node.plugins().Hang("ADD.first");
  node.plugins().Hang("DEL.first");
  EXPECT_THAT(node.network().Attach(MakeRequest("pod-7"),
                                    absl::Now() + absl::Milliseconds(300)),
              StatusIs(absl::StatusCode::kDeadlineExceeded,
                       AllOf(HasSubstr("CNI ADD by plugin first"),
                             HasSubstr("CNI DEL by plugin first"))));
  EXPECT_TRUE(node.network().OwesDetach("pod-7"));
  EXPECT_EQ(node.Records(), 1u);
  node.Restart();
  EXPECT_THAT(node.network().Recover({}), IsOk());
  EXPECT_TRUE(node.network().OwesDetach("pod-7"));
  node.plugins().Behave("DEL.first");
  EXPECT_TRUE(node.AwaitSettled("pod-7"));
  EXPECT_EQ(node.Records(), 0u);
}

TEST(CniPodNetworkTest, EndsAtOnceWhileADeleteHangs) {
  Node node;
  node.options().retry_timeout = absl::InfiniteDuration();
  node.Restart();
  ASSERT_THAT(node.network().Attach(MakeRequest("pod-7"), Soon()), IsOk());
  node.plugins().Hang("DEL.first");
  EXPECT_THAT(node.network().Recover({}), IsOk());
  while (node.plugins().HungPids("DEL.first").empty()) {
    std::this_thread::yield();
  }
  node.Restart();  // would not return
  EXPECT_EQ(node.Records(), 1u);
}

TEST(CniPodNetworkTest, GarbageForAResultIsAnErrorAndUndone) {
  Node node;
  node.plugins().Say("ADD.second", "Segmentation fault\x01");
  EXPECT_THAT(node.network().Attach(MakeRequest("pod-7"), Soon()),
              StatusIs(absl::StatusCode::kFailedPrecondition,
                       HasSubstr("plugin second: its result cannot be used")));
  EXPECT_EQ(node.Records(), 0u);
}

TEST(CniPodNetworkTest, ResultWithoutAnAddressIsAnErrorAndUndone) {
  Node node;
  node.plugins().Say("ADD.second", R"({"cniVersion":"1.0.0"})");
  EXPECT_THAT(
      node.network().Attach(MakeRequest("pod-7"), Soon()),
      StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("no address")));
  EXPECT_EQ(node.plugins().Log().back(), "DEL first pod-7");
}

TEST(CniPodNetworkTest, TwoMebibytesOfOutputAreRefused) {
  Node node;
  node.plugins().Say("ADD.first", std::string(2u << 20, ' '));
  EXPECT_THAT(node.network().Attach(MakeRequest("pod-7"), Soon()),
              StatusIs(absl::StatusCode::kFailedPrecondition,
                       HasSubstr("printed more than 1048576 bytes")));
  EXPECT_EQ(node.Records(), 0u);
}

TEST(CniPodNetworkTest, FailureWithoutACniErrorGivesExitCodeAndStderr) {
  Node node;
  node.plugins().Fail("ADD.first", "");
  EXPECT_THAT(
      node.network().Attach(MakeRequest("pod-7"), Soon()),
      StatusIs(absl::StatusCode::kFailedPrecondition,
               AllOf(HasSubstr("exit code 1"), HasSubstr("words on stderr"))));
}

TEST(CniPodNetworkTest, MissingPluginNamesItAndWhereItWasLookedFor) {
  Node node(R"({"cniVersion":"1.0.0","name":"pods",
                "plugins":[{"type":"first"},{"type":"calico"}]})");
  EXPECT_THAT(node.network().Attach(MakeRequest("pod-7"), Soon()),
              StatusIs(absl::StatusCode::kFailedPrecondition,
                       AllOf(HasSubstr("plugin calico"),
                             HasSubstr(node.plugins().bin_dir()))));
  // Nothing was begun, so nothing is owed.
  EXPECT_THAT(node.plugins().Log(), IsEmpty());
  EXPECT_FALSE(node.network().OwesDetach("pod-7"));
  EXPECT_EQ(node.Records(), 0u);
}

// ------------------------------------------------------- journal, restarts

TEST(CniPodNetworkTest, CrashDuringAddIsUndoneByRecovery) {
  Node node;
  NetworkAttachment intent;
  intent.set_format(1);
  intent.set_sandbox_id("pod-9");
  intent.set_netns_path(kNetns);
  intent.set_conflist_json(kTwoPlugins);
  intent.set_ifname("eth0");
  intent.set_runtime_config_json("{}");
  ASSERT_THAT(node.db().Put("cni", "pod-9", intent.SerializeAsString()),
              IsOk());
  ASSERT_THAT(node.network().Recover({}), IsOk());
  EXPECT_TRUE(node.AwaitSettled("pod-9"));
  EXPECT_THAT(node.plugins().Log(),
              ElementsAre("DEL second pod-9", "DEL first pod-9"));
  EXPECT_EQ(node.Records(), 0u);
}

TEST(CniPodNetworkTest, SecondAttachTakesTheFirstBackBefore) {
  Node node;
  ASSERT_THAT(node.network().Attach(MakeRequest("pod-7"), Soon()), IsOk());
  ASSERT_THAT(node.network().Attach(MakeRequest("pod-7"), Soon()), IsOk());
  EXPECT_THAT(
      node.plugins().Log(),
      ElementsAre("ADD first pod-7", "ADD second pod-7", "DEL second pod-7",
                  "DEL first pod-7", "ADD first pod-7", "ADD second pod-7"));
  EXPECT_EQ(node.Records(), 1u);
}

TEST(CniPodNetworkTest, UnreadableRecordIsSetAsideNotForgotten) {
  Node node;
  ASSERT_THAT(node.db().Put("cni", "pod-9", "\xff\xff"), IsOk());
  EXPECT_THAT(node.network().Recover({}), IsOk());
  EXPECT_EQ(node.Records(), 0u);
  EXPECT_THAT(node.db().Get("set_aside", "cni/pod-9"),
              quoll::testing::IsOkAndHolds(std::string("\xff\xff")));
  EXPECT_THAT(node.plugins().Log(), IsEmpty());
}

TEST(CniPodNetworkTest, DetachWithoutTimeIsOwed) {
  Node node;
  ASSERT_THAT(node.network().Attach(MakeRequest("pod-7"), Soon()), IsOk());
  node.plugins().Block("DEL.second");
  EXPECT_FALSE(node.network().Detach("pod-7", absl::Now()).ok());
  EXPECT_TRUE(node.network().OwesDetach("pod-7"));
  node.plugins().Behave("DEL.second");
  EXPECT_TRUE(node.AwaitSettled("pod-7"));
}

// ------------------------------------------------------------ concurrency

TEST(CniPodNetworkTest, FiftyPodsAtOnce) {
  Node node;
  std::vector<std::thread> callers;
  callers.reserve(50);
  for (int i = 0; i < 50; ++i) {
    callers.emplace_back([&node, i] {
      const std::string id = absl::StrCat("pod-", i + 2);
      const auto attached = node.network().Attach(MakeRequest(id), Soon());
      EXPECT_THAT(attached, IsOk());
      if (attached.ok()) {
        EXPECT_THAT(attached->ips,
                    ElementsAre(absl::StrCat("10.88.0.", i + 2)));
      }
      EXPECT_THAT(node.network().Detach(id, Soon()), IsOk());
    });
  }
  for (std::thread& caller : callers) {
    caller.join();
  }
  EXPECT_THAT(node.plugins().Log(), SizeIs(200));
  EXPECT_EQ(node.Records(), 0u);
}

TEST(CniPodNetworkTest, NoMorePluginsThanAllowedAndTheRestTimesOut) {
  Node node;
  node.options().max_plugins = 1;
  node.Restart();
  node.plugins().Block("ADD.first");
  std::thread first([&node] {
    EXPECT_THAT(node.network().Attach(MakeRequest("pod-2"), Soon()), IsOk());
  });
  while (node.plugins().Log().empty()) {
    std::this_thread::yield();
  }
  // The second one's DEL needs the slot too; it must be free by then.
  std::thread release;
  EXPECT_THAT(
      [&] {
        const absl::Time deadline = absl::Now() + absl::Milliseconds(50);
        release = std::thread([&node, deadline] {
          while (absl::Now() < deadline + absl::Milliseconds(20)) {
            std::this_thread::yield();
          }
          node.plugins().Behave("ADD.first");
        });
        return node.network().Attach(MakeRequest("pod-3"), deadline);
      }(),
      StatusIs(absl::StatusCode::kDeadlineExceeded,
               HasSubstr("1 plugins run already")));
  release.join();
  first.join();
  EXPECT_EQ(node.Records(), 1u);
}

// -------------------------------------------------------------- bad input

TEST(CniPodNetworkTest, RequestsThatPluginsWouldMisreadAreRefused) {
  Node node;
  PodNetwork::Request request = MakeRequest("pod-7");
  request.pod_name = "web;IP=10.0.0.1";
  EXPECT_THAT(
      node.network().Attach(request, Soon()),
      StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("pod name")));
  request = MakeRequest("../pod");
  EXPECT_THAT(node.network().Attach(request, Soon()),
              StatusIs(absl::StatusCode::kInvalidArgument));
  request = MakeRequest("pod-7");
  auto& port = request.port_mappings.emplace_back();
  port.set_host_port(70000);
  port.set_container_port(80);
  EXPECT_THAT(node.network().Attach(request, Soon()),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("70000")));
  port.set_host_port(8080);
  port.set_host_ip("localhost");
  EXPECT_THAT(
      node.network().Attach(request, Soon()),
      StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("localhost")));
  port.set_host_ip("");
  port.set_protocol(static_cast<state::v1::PortMapping::Protocol>(9));
  EXPECT_THAT(node.network().Attach(request, Soon()),
              StatusIs(absl::StatusCode::kInvalidArgument));
  EXPECT_THAT(node.plugins().Log(), IsEmpty());
  EXPECT_EQ(node.Records(), 0u);
}

TEST(CniPodNetworkTest, WithoutConfigurationAttachSaysWhatIsMissing) {
  Node node("");
  EXPECT_THAT(node.network().Ready(),
              StatusIs(absl::StatusCode::kFailedPrecondition,
                       HasSubstr("no CNI configuration in")));
  EXPECT_THAT(node.network().Attach(MakeRequest("pod-7"), Soon()),
              StatusIs(absl::StatusCode::kFailedPrecondition,
                       HasSubstr("no CNI configuration in")));
}

}  // namespace
}  // namespace quoll::runtime
