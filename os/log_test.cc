// SPDX-License-Identifier: Apache-2.0
#include "os/log.h"

#include <thread>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "tests/support/status_matchers.h"

namespace quoll::os {
namespace {

using ::quoll::testing::IsOk;
using ::quoll::testing::StatusIs;
using ::testing::MatchesRegex;

// What `log` makes the process write to stderr.
template <typename Log>
std::string Capture(const LogOptions& options, Log log) {
  EXPECT_THAT(InitLog(options), IsOk());
  ::testing::internal::CaptureStderr();
  log();
  return ::testing::internal::GetCapturedStderr();
}

constexpr char kTime[] =
    "[0-9]+-[0-9]+-[0-9]+T[0-9]+:[0-9]+:[0-9]+\\.[0-9][0-9][0-9]Z";

TEST(LogTest, TextLineHasTimeLevelRequestAndMessage) {
  const std::string line = Capture({}, [] {
    const LogRequestScope scope("req-1");
    spdlog::warn("disk {} is full", 3);
  });
  EXPECT_THAT(line, MatchesRegex(std::string(kTime) +
                                 " WARN \\[req-1\\] disk 3 is full\n"));
}

TEST(LogTest, OneMessageIsOneLine) {
  const std::string line =
      Capture({}, [] { spdlog::info("a\nb\x1b[2J\xff{}", "\xc3\xa9"); });
  EXPECT_THAT(line, MatchesRegex(std::string(kTime) +
                                 " INFO a\\\\nb\\\\u001b\\[2J\xEF\xBF\xBD"
                                 "\xc3\xa9\n"));
}

TEST(LogTest, JsonIsEscaped) {
  const LogOptions options = {"debug", LogFormat::kJson};
  const std::string line = Capture(options, [] {
    const LogRequestScope scope("r\"1");
    spdlog::debug("say \"hi\" \\ {}", "\t\x01\xed\xa0\x80");
  });
  // The last three bytes are a surrogate half, which is not UTF-8.
  const std::string bad = "\xEF\xBF\xBD";
  const std::string end =
      "\"level\":\"debug\",\"request\":\"r\\\"1\","
      "\"message\":\"say \\\"hi\\\" \\\\ \\t\\u0001" +
      bad + bad + bad + "\"}\n";
  ASSERT_GT(line.size(), end.size());
  EXPECT_THAT(line.substr(0, line.size() - end.size()),
              MatchesRegex("\\{\"time\":\"" + std::string(kTime) + "\","));
  EXPECT_EQ(line.substr(line.size() - end.size()), end);
}

TEST(LogTest, LevelsFilterAndAreChecked) {
  EXPECT_EQ(Capture({"error", LogFormat::kText}, [] { spdlog::warn("x"); }),
            "");
  EXPECT_THAT(InitLog({"loud", LogFormat::kText}),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       ::testing::HasSubstr("loud")));
}

TEST(LogRequestScopeTest, NestsAndBelongsToTheThread) {
  EXPECT_EQ(CurrentRequestId(), "");
  const LogRequestScope outer("outer");
  {
    const LogRequestScope inner("inner");
    EXPECT_EQ(CurrentRequestId(), "inner");
    std::thread([] { EXPECT_EQ(CurrentRequestId(), ""); }).join();
  }
  EXPECT_EQ(CurrentRequestId(), "outer");
}

}  // namespace
}  // namespace quoll::os
