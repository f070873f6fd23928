// SPDX-License-Identifier: Apache-2.0
#include "runtime/monitor/monitor_files.h"

#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "runtime/monitor/monitor_channel.h"
#include "runtime/monitor/runtime_log.h"
#include "tests/support/status_matchers.h"

namespace quoll::runtime {
namespace {

using ::quoll::testing::IsOk;
using ::quoll::testing::StatusIs;

constexpr char kRecord[] =
    "quoll-exit 1\nexit_code 137\nsignal 9\noom_killed 1\n"
    "finished_at_ns 1795424116987654321\n";

TEST(ExitRecordTest, Parses) {
  const absl::StatusOr<ExitRecord> record = ParseExitRecord(kRecord);
  ASSERT_THAT(record, IsOk());
  EXPECT_EQ(record->exit_code, 137);
  EXPECT_EQ(record->signal, 9);
  EXPECT_TRUE(record->oom_killed);
  EXPECT_EQ(record->finished_at_ns, 1795424116987654321);
}

TEST(ExitRecordTest, RefusesEveryCutOffAndEveryAddition) {
  const std::string text = kRecord;
  for (size_t size = 0; size < text.size(); ++size) {
    EXPECT_THAT(ParseExitRecord(text.substr(0, size)),
                StatusIs(absl::StatusCode::kDataLoss))
        << size;
  }
  EXPECT_THAT(ParseExitRecord(text + "\n"),
              StatusIs(absl::StatusCode::kDataLoss));
}

TEST(ExitRecordTest, RefusesNumbersThatNoProcessHas) {
  for (const char* text :
       {"quoll-exit 2\nexit_code 0\nsignal 0\noom_killed 0\nfinished_at_ns 1\n",
        "quoll-exit 1\nexit_code 256\nsignal 0\noom_killed 0\n"
        "finished_at_ns 1\n",
        "quoll-exit 1\nexit_code -1\nsignal 0\noom_killed 0\n"
        "finished_at_ns 1\n",
        "quoll-exit 1\nexit_code 0\nsignal 0\noom_killed 2\n"
        "finished_at_ns 1\n",
        "quoll-exit 1\nexit_code 0\nsignal 0\noom_killed 0\n"
        "finished_at_ns 9223372036854775808\n"}) {
    EXPECT_THAT(ParseExitRecord(text), StatusIs(absl::StatusCode::kDataLoss))
        << text;
  }
}

TEST(MonitorPidTest, ParsesWithAndWithoutInit) {
  absl::StatusOr<LaunchedContainer> one = ParseMonitorPid("12 345\n");
  ASSERT_THAT(one, IsOk());
  EXPECT_EQ(one->monitor, (os::ProcessIdentity{12, 345}));
  EXPECT_EQ(one->init.pid, 0);
  absl::StatusOr<LaunchedContainer> two = ParseMonitorPid("12 345 67 890\n");
  ASSERT_THAT(two, IsOk());
  EXPECT_EQ(two->init, (os::ProcessIdentity{67, 890}));
}

// Pid 0 is "my process group" and 1 is the node: neither is ever a monitor.
TEST(MonitorPidTest, RefusesAnythingElse) {
  for (const char* text :
       {"", "\n", "12\n", "12 345", "12 345 6\n", "1 345\n", "0 1\n", "-1 2\n",
        "12 345 1 1\n", "12  345\n", "a b\n", "99999999999 1\n"}) {
    EXPECT_THAT(ParseMonitorPid(text), StatusIs(absl::StatusCode::kDataLoss))
        << text;
  }
}

TEST(ConfigTextTest, EscapesWhatWouldEndALine) {
  EXPECT_EQ(EncodeConfig({{"arg", "a\nb%c=d"}}), "arg=a%0Ab%25c=d\n");
}

TEST(ParseMessageTest, RefusesForeignBytes) {
  monitor::Header header;
  header.length = 4;
  std::string bytes(reinterpret_cast<char*>(&header), sizeof(header));
  EXPECT_THAT(ParseMessage(bytes + "abcd"), IsOk());
  EXPECT_THAT(ParseMessage(bytes + "abc"),
              StatusIs(absl::StatusCode::kDataLoss));
  EXPECT_THAT(ParseMessage(bytes + "abcde"),
              StatusIs(absl::StatusCode::kDataLoss));
  EXPECT_THAT(ParseMessage("x"), StatusIs(absl::StatusCode::kDataLoss));
  EXPECT_THAT(ParseMessage(std::string(20, 'x')),
              StatusIs(absl::StatusCode::kDataLoss));
  header.version = monitor::kVersion + 1;
  bytes.assign(reinterpret_cast<char*>(&header), sizeof(header));
  EXPECT_THAT(ParseMessage(bytes + "abcd"),
              StatusIs(absl::StatusCode::kDataLoss));
}

TEST(ParseMessageTest, AShortPayloadIsAnError) {
  const MonitorMessage message{monitor::MessageType::kReady, "abc"};
  EXPECT_THAT(message.Take<monitor::ReadyReport>(),
              StatusIs(absl::StatusCode::kDataLoss));
}

TEST(LastRuntimeErrorTest, TakesTheLastErrorOfTheLog) {
  EXPECT_EQ(
      LastRuntimeError(R"({"level":"error","msg":"first"})"
                       "\n"
                       R"({"level":"error","msg":"exec: \"x\": not found"})"
                       "\n"
                       R"({"level":"warning","msg":"later"})"
                       "\n"),
      "exec: \"x\": not found");
}

TEST(LastRuntimeErrorTest, FallsBackToTheLastLine) {
  EXPECT_EQ(LastRuntimeError("a\nplain words\n\n"), "plain words");
  EXPECT_EQ(LastRuntimeError(R"({"level":"info","msg":"hint"})"), "hint");
  EXPECT_EQ(LastRuntimeError(""), "");
}

TEST(LastRuntimeErrorTest, IsSafeWithAnything) {
  EXPECT_EQ(LastRuntimeError("{\"msg\":7}"), "{\"msg\":7}");
  EXPECT_EQ(LastRuntimeError("\x01\xff{["), "\xff{[");
  EXPECT_EQ(LastRuntimeError("{\"level\":\"error\",\"msg\":\"a\\nb\"}"), "a b");
  EXPECT_EQ(LastRuntimeError(std::string(100000, 'x')).size(), 2048u);
}

}  // namespace
}  // namespace quoll::runtime
