// SPDX-License-Identifier: Apache-2.0
#include "runtime/network/cni_result.h"

#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "tests/support/status_matchers.h"

namespace quoll::runtime {
namespace {

using ::quoll::testing::IsOkAndHolds;
using ::quoll::testing::StatusIs;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

constexpr auto kBad = absl::StatusCode::kFailedPrecondition;

TEST(CniResultTest, DualStackKeepsItsOrder) {
  EXPECT_THAT(CniResultAddresses(
                  R"({"ips":[{"address":"10.0.0.2/24"},
                             {"address":"fd00::2/64","version":"6"}]})",
                  "eth0"),
              IsOkAndHolds(ElementsAre("10.0.0.2", "fd00::2")));
}

TEST(CniResultTest, AddressesOfTheHostSideAreNotThePods) {
  EXPECT_THAT(CniResultAddresses(
                  R"({"interfaces":[{"name":"br0"},
                                    {"name":"net1","sandbox":"/ns"},
                                    {"name":"eth0","sandbox":"/ns"}],
                      "ips":[{"address":"10.0.0.1/24","interface":0},
                             {"address":"10.1.0.2/24","interface":1},
                             {"address":"10.0.0.2/24","interface":2}]})",
                  "eth0"),
              IsOkAndHolds(ElementsAre("10.0.0.2", "10.1.0.2")));
}

TEST(CniResultTest, BadInterfaceIndexMeansNoInterface) {
  for (const char* index : {"7", "-1", "\"x\"", "1.5"}) {
    EXPECT_THAT(
        CniResultAddresses(std::string(R"({"interfaces":[],"ips":[{"address":
            "10.0.0.2/24","interface":)") +
                               index + "}]}",
                           "eth0"),
        IsOkAndHolds(ElementsAre("10.0.0.2")));
  }
}

TEST(CniResultTest, FirstVersionsHaveIp4AndIp6) {
  EXPECT_THAT(CniResultAddresses(R"({"cniVersion":"0.2.0",
                  "ip4":{"ip":"10.0.0.2/24"},"ip6":{"ip":"fd00::2/64"}})",
                                 "eth0"),
              IsOkAndHolds(ElementsAre("10.0.0.2", "fd00::2")));
}

TEST(CniResultTest, WhatIsNoResultIsRefused) {
  for (const char* text :
       {"", "null", "[]", "{}", R"({"ips":[]})", R"({"ips":{}})",
        R"({"ips":[5]})", R"({"ips":[{}]})", R"({"ip4":"10.0.0.2/24"})",
        R"({"ips":[{"address":"10.0.0.2"}]})",
        R"({"ips":[{"address":"10.0.0.2/33"}]})",
        R"({"ips":[{"address":"10.0.0.2/-1"}]})",
        R"({"ips":[{"address":"10.0.0.2/x"}]})",
        R"({"ips":[{"address":"10.0.0.2\n/24"}]})",
        R"({"ips":[{"address":"10.0.0.2\u0000evil/24"}]})",
        R"({"ips":[{"address":"fd00::2%eth0/64"}]})",
        R"({"ips":[{"address":"example.com/24"}]})"}) {
    EXPECT_THAT(CniResultAddresses(text, "eth0"), StatusIs(kBad)) << text;
  }
}

TEST(CniErrorTest, CodesAndWords) {
  EXPECT_THAT(
      CniErrorStatus(R"({"code":11,"msg":"later","details":"busy"})", "",
                     "exit code 1"),
      StatusIs(absl::StatusCode::kUnavailable, HasSubstr("later; busy")));
  EXPECT_THAT(
      CniErrorStatus(R"({"code":7,"msg":"no subnet"})", "noise", "exit code 1"),
      StatusIs(kBad, AllOf(HasSubstr("no subnet (CNI error 7)"),
                           Not(HasSubstr("noise")))));
  EXPECT_THAT(CniErrorStatus(R"({"code":7})", "", "exit code 1"),
              StatusIs(kBad, HasSubstr("no message")));
}

TEST(CniErrorTest, WithoutAnErrorObjectTheOutputIsQuoted) {
  EXPECT_THAT(CniErrorStatus("", "panic:\nboom", "exit code 2"),
              StatusIs(kBad, AllOf(HasSubstr("exit code 2"),
                                   HasSubstr("panic: boom"))));
  EXPECT_THAT(CniErrorStatus("oops", "", "killed by signal 9"),
              StatusIs(kBad, HasSubstr("oops")));
  EXPECT_THAT(CniErrorStatus("", "", "exit code 1"),
              StatusIs(kBad, HasSubstr("printed nothing")));
  EXPECT_THAT(CniErrorStatus(R"({"code":"x"})", "", "exit code 1"),
              StatusIs(kBad));
  EXPECT_LT(CniErrorStatus("", std::string(1 << 20, 'x'), "exit code 1")
                .message()
                .size(),
            2000u);
}

}  // namespace
}  // namespace quoll::runtime
