// SPDX-License-Identifier: Apache-2.0
#include "ctl/cri_log.h"

#include <ostream>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace quoll::ctl {

// For the messages of failed expectations.
bool operator==(const LogPiece& a, const LogPiece& b) {
  return a.to_stderr == b.to_stderr && a.text == b.text;
}
void PrintTo(const LogPiece& piece, std::ostream* out) {
  *out << (piece.to_stderr ? "stderr " : "stdout ") << piece.text;
}

namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

constexpr char kTime[] = "2026-03-01T12:00:00.123456789Z ";

std::string Line(const char* rest) {
  return absl::StrCat(kTime, rest, "\n");
}

TEST(ParseLogLineTest, ReadsStreamAndContent) {
  EXPECT_EQ(ParseLogLine(absl::StrCat(kTime, "stdout F hello world")),
            (LogPiece{false, "hello world\n"}));
  EXPECT_EQ(ParseLogLine(absl::StrCat(kTime, "stderr F ")),
            (LogPiece{true, "\n"}));
  EXPECT_EQ(ParseLogLine(absl::StrCat(kTime, "stdout F  two  blanks ")),
            (LogPiece{false, " two  blanks \n"}));
}

TEST(ParseLogLineTest, APartHasNoLineEnd) {
  EXPECT_EQ(ParseLogLine(absl::StrCat(kTime, "stdout P part")),
            (LogPiece{false, "part"}));
  EXPECT_EQ(ParseLogLine(absl::StrCat(kTime, "stdout P:more part")),
            (LogPiece{false, "part"}));
}

TEST(ParseLogLineTest, WhatIsNoLogComesOutWhole) {
  for (const char* line : {"", "oops", "2026 stdout", "2026 stdin F x",
                           "2026 stdout X x", "2026 stdout  x", "   "}) {
    EXPECT_EQ(ParseLogLine(line), (LogPiece{true, absl::StrCat(line, "\n")}));
  }
}

TEST(LogReaderTest, WaitsForTheEndOfALine) {
  LogReader reader;
  EXPECT_THAT(reader.Feed(absl::StrCat(kTime, "stdo")), IsEmpty());
  EXPECT_THAT(reader.Feed("ut F a\n" + Line("stderr F b") + kTime),
              ElementsAre(LogPiece{false, "a\n"}, LogPiece{true, "b\n"}));
  EXPECT_THAT(reader.Feed("stdout F c\n"), ElementsAre(LogPiece{false, "c\n"}));
  EXPECT_THAT(reader.Finish(), IsEmpty());
}

TEST(LogReaderTest, JoinsTheParts) {
  LogReader reader;
  EXPECT_THAT(reader.Feed(Line("stdout P one ") + Line("stdout F line")),
              ElementsAre(LogPiece{false, "one "}, LogPiece{false, "line\n"}));
}

TEST(LogReaderTest, ALastLineWithoutAnEndIsNotLost) {
  LogReader reader;
  EXPECT_THAT(reader.Feed(absl::StrCat(kTime, "stdout F cut")), IsEmpty());
  EXPECT_THAT(reader.Finish(), ElementsAre(LogPiece{false, "cut\n"}));
  EXPECT_THAT(reader.Finish(), IsEmpty());
}

TEST(LogReaderTest, DoesNotCollectAFileWithoutLines) {
  LogReader reader;
  const std::string much(LogReader::kMaxLineBytes + 1, 'x');
  EXPECT_THAT(reader.Feed(much), ElementsAre(LogPiece{true, much + "\n"}));
  EXPECT_THAT(reader.Finish(), IsEmpty());
}

std::string Tail(const std::string& log, int lines) {
  return log.substr(TailOffset(log, lines));
}

TEST(TailOffsetTest, CountsLinesFromTheEnd) {
  const std::string a = Line("stdout F a");
  const std::string b = Line("stderr F b");
  const std::string log = a + b;
  EXPECT_EQ(Tail(log, 0), "");
  EXPECT_EQ(Tail(log, 1), b);
  EXPECT_EQ(Tail(log, 2), log);
  EXPECT_EQ(Tail(log, 1000), log);
  EXPECT_EQ(Tail(log, -1), log);
  EXPECT_EQ(Tail("", 5), "");
}

TEST(TailOffsetTest, PartsOfOneLineCountOnce) {
  const std::string line =
      Line("stdout P a") + Line("stdout P b") + Line("stdout F c");
  const std::string before = Line("stdout F before");
  EXPECT_EQ(Tail(before + line, 1), line);
  EXPECT_EQ(Tail(before + line, 2), before + line);
  EXPECT_EQ(Tail(line + before, 1), before);
}

TEST(TailOffsetTest, BearsLinesThatAreNone) {
  EXPECT_EQ(Tail("x\n\n\ny", 1), "y");
  EXPECT_EQ(Tail("x\n\n\ny", 3), "\n\ny");
  EXPECT_EQ(Tail("\n", 1), "\n");
}

}  // namespace
}  // namespace quoll::ctl
