// SPDX-License-Identifier: Apache-2.0
#include "runtime/network/cni_network.h"

#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "tests/support/status_matchers.h"

namespace quoll::runtime {
namespace {

using ::quoll::testing::IsOk;
using ::quoll::testing::StatusIs;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

constexpr auto kBad = absl::StatusCode::kInvalidArgument;

TEST(CniNetworkTest, ListIsRead) {
  const auto network = ParseCniConfList(R"({
    "cniVersion": "1.0.0", "name": "pods.v-1", "disableCheck": true,
    "disableGC": true, "loadOnlyInlinedPlugins": true, "unknown": 1,
    "plugins": [
      {"type": "bridge", "ipam": {"type": "host-local"}},
      {"type": "portmap", "capabilities": {"portMappings": true, "x": false}}
    ]})");
  ASSERT_THAT(network, IsOk());
  EXPECT_EQ(network->name, "pods.v-1");
  EXPECT_EQ(network->cni_version, "1.0.0");
  EXPECT_TRUE(network->disable_check);
  ASSERT_EQ(network->plugins.size(), 2u);
  EXPECT_EQ(network->plugins[0].type, "bridge");
  EXPECT_THAT(network->plugins[0].config_json, HasSubstr("host-local"));
  EXPECT_THAT(network->plugins[1].capabilities, ElementsAre("portMappings"));
  EXPECT_THAT(network->plugins[1].config_json, Not(HasSubstr("capabilities")));
}

TEST(CniNetworkTest, WhatIsJournaledReadsBackTheSame) {
  const auto network = ParseCniConfList(R"({
    "cniVersion": "0.4.0", "cniVersions": ["0.3.1", "1.0.0", "9.0.0"],
    "name": "pods", "disableCheck": "true",
    "plugins": [{"type": "portmap", "capabilities": {"portMappings": true}}]})");
  ASSERT_THAT(network, IsOk());
  const auto again = ParseCniConfList(network->conflist_json);
  ASSERT_THAT(again, IsOk());
  EXPECT_EQ(again->cni_version, "1.0.0");
  EXPECT_TRUE(again->disable_check);
  EXPECT_EQ(again->plugins[0].capabilities, network->plugins[0].capabilities);
  EXPECT_EQ(again->conflist_json, network->conflist_json);
}

TEST(CniNetworkTest, SingleConfigurationBecomesAList) {
  const auto network = ParseCniConf(
      R"({"cniVersion":"0.3.1","name":"old","type":"bridge","mtu":1400})");
  ASSERT_THAT(network, IsOk());
  EXPECT_EQ(network->name, "old");
  EXPECT_EQ(network->cni_version, "0.3.1");
  ASSERT_EQ(network->plugins.size(), 1u);
  EXPECT_THAT(network->plugins[0].config_json, HasSubstr("1400"));
  EXPECT_THAT(ParseCniConfList(network->conflist_json), IsOk());
}

TEST(CniNetworkTest, NoVersionIsTheFirstVersion) {
  const auto network =
      ParseCniConfList(R"({"name":"a","plugins":[{"type":"b"}]})");
  ASSERT_THAT(network, IsOk());
  EXPECT_EQ(network->cni_version, "0.1.0");
}

TEST(CniNetworkTest, MistakesAreNamed) {
  const auto with = [](const std::string& members) {
    return ParseCniConfList("{\"name\":\"a\"," + members + "}").status();
  };
  EXPECT_THAT(with(R"("plugins":[])"), StatusIs(kBad, HasSubstr("plugins")));
  EXPECT_THAT(with(R"("plugins":{})"), StatusIs(kBad, HasSubstr("plugins")));
  EXPECT_THAT(with(R"("plugins":[{"type":"ok"},7])"),
              StatusIs(kBad, HasSubstr("plugin 2")));
  EXPECT_THAT(with(R"("plugins":[{"type":""}])"),
              StatusIs(kBad, HasSubstr("no \"type\"")));
  EXPECT_THAT(with(R"("plugins":[{"type":"../../bin/sh"}])"),
              StatusIs(kBad, HasSubstr("bare name")));
  EXPECT_THAT(with(R"("plugins":[{"type":".."}])"),
              StatusIs(kBad, HasSubstr("bare name")));
  EXPECT_THAT(with(R"("plugins":[{"type":"a\u0000b"}])"),
              StatusIs(kBad, HasSubstr("bare name")));
  EXPECT_THAT(with(R"("plugins":[{"type":"a","capabilities":[]}])"),
              StatusIs(kBad, HasSubstr("capabilities")));
  EXPECT_THAT(with(R"("plugins":[{"type":"a","capabilities":{"dns":"y"}}])"),
              StatusIs(kBad, HasSubstr("dns")));
  EXPECT_THAT(with(R"("cniVersion":"7.0.0","plugins":[{"type":"a"}])"),
              StatusIs(kBad, HasSubstr("7.0.0")));
  EXPECT_THAT(with(R"("cniVersion":1,"plugins":[{"type":"a"}])"),
              StatusIs(kBad, HasSubstr("cniVersion")));
  EXPECT_THAT(with(R"("disableCheck":3,"plugins":[{"type":"a"}])"),
              StatusIs(kBad, HasSubstr("disableCheck")));
  EXPECT_THAT(ParseCniConfList(R"({"plugins":[{"type":"a"}]})"),
              StatusIs(kBad, HasSubstr("name")));
  EXPECT_THAT(ParseCniConf(R"({"name":"a","plugins":[{"type":"b"}]})"),
              StatusIs(kBad, HasSubstr(".conflist")));
}

TEST(CniNetworkTest, VersionsCompareByNumber) {
  EXPECT_TRUE(CniVersionAtLeast("0.4.0", 0, 4));
  EXPECT_TRUE(CniVersionAtLeast("1.0.0", 0, 4));
  EXPECT_FALSE(CniVersionAtLeast("0.3.1", 0, 4));
  EXPECT_FALSE(CniVersionAtLeast("", 0, 4));
}

TEST(CniNetworkTest, Identifiers) {
  EXPECT_TRUE(IsCniIdentifier("0a_b.c-D"));
  EXPECT_FALSE(IsCniIdentifier(""));
  EXPECT_FALSE(IsCniIdentifier(".."));
  EXPECT_FALSE(IsCniIdentifier("a/b"));
}

}  // namespace
}  // namespace quoll::runtime
