// SPDX-License-Identifier: Apache-2.0
#include "runtime/network/json_text.h"

#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "tests/support/status_matchers.h"

namespace quoll::runtime {
namespace {

using ::quoll::testing::IsOk;
using ::quoll::testing::StatusIs;
using ::testing::HasSubstr;

TEST(JsonTextTest, MistakesAreNamedWithTheirPlace) {
  EXPECT_THAT(ParseJsonObject("{\n  \"a\": ,\n}"),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("not JSON: parse error at line 2")));
  EXPECT_THAT(ParseJsonObject(" \n"),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("empty")));
  EXPECT_THAT(ParseJsonObject("[]"),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("array")));
  EXPECT_THAT(ParseJsonObject("{} {}"),
              StatusIs(absl::StatusCode::kInvalidArgument));
  EXPECT_THAT(ParseJsonObject("{\"a\": 1e999}"),
              StatusIs(absl::StatusCode::kInvalidArgument));
  EXPECT_THAT(ParseJsonObject("{\"a\": \"\xff\"}"),
              StatusIs(absl::StatusCode::kInvalidArgument));
}

TEST(JsonTextTest, DeepNestingIsRefusedBeforeItCostsTheStack) {
  const std::string deep = "{\"a\":" + std::string(500000, '[');
  EXPECT_THAT(
      ParseJsonObject(deep),
      StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("nests deeper")));
  // Brackets in strings are text.
  EXPECT_THAT(
      ParseJsonObject("{\"a\": \"\\\"" + std::string(1000, '[') + "\"}"),
      IsOk());
}

TEST(JsonTextTest, PrintingRepairsText) {
  EXPECT_EQ(PrintJson({{"name", "a\xff"}}), "{\"name\":\"a\xEF\xBF\xBD\"}");
}

TEST(JsonTextTest, OneLineIsOneLine) {
  EXPECT_EQ(OneLine("  a\nb\x1b[31m  "), "a b [31m");
  EXPECT_EQ(OneLine("abcdef", 3), "abc...");
  EXPECT_EQ(OneLine("ab\xC3\xA4", 3), "ab...");  // not half of an umlaut
}

}  // namespace
}  // namespace quoll::runtime
