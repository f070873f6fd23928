// SPDX-License-Identifier: Apache-2.0
#include "runtime/monitor/program/log_formatter.h"

#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace quoll::runtime::monitor {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

class StringSink : public LogSink {
 public:
  void Write(iovec* parts, int count, size_t bytes) override {
    size_t sum = 0;
    for (int i = 0; i < count; ++i) {
      text.append(static_cast<char*>(parts[i].iov_base), parts[i].iov_len);
      sum += parts[i].iov_len;
    }
    EXPECT_EQ(sum, bytes);
    EXPECT_LE(count, 1024);  // IOV_MAX
    EXPECT_EQ(text.back(), '\n');
    ++writes;
  }
  std::string text;
  int writes = 0;
};

class LogFormatterTest : public ::testing::Test {
 protected:
  void Feed(const std::string& data) {
    formatter_.Feed(data.data(), data.size(), time_, sink_);
  }
  Timestamp time_ = [] {
    Timestamp text;
    text.Add("T");
    return text;
  }();
  StringSink sink_;
  LogFormatter formatter_{"stdout"};
};

TEST(FormatTimestampTest, IsRfc3339WithNineDigitsInUtc) {
  EXPECT_STREQ(FormatTimestamp({0, 0}).c_str(),
               "1970-01-01T00:00:00.000000000Z");
  EXPECT_STREQ(FormatTimestamp({951827696, 1}).c_str(),
               "2000-02-29T12:34:56.000000001Z");
  EXPECT_STREQ(FormatTimestamp({1795424116, 987654321}).c_str(),
               "2026-11-23T08:55:16.987654321Z");
  EXPECT_STREQ(FormatTimestamp({4107542399, 999999999}).c_str(),
               "2100-02-28T23:59:59.999999999Z");
  EXPECT_STREQ(FormatTimestamp({4107542400, 0}).c_str(),
               "2100-03-01T00:00:00.000000000Z");
}

TEST_F(LogFormatterTest, WritesAllLinesOfOneReadAtOnce) {
  Feed("one\ntwo\n\nthree\n");
  EXPECT_EQ(sink_.text,
            "T stdout F one\nT stdout F two\nT stdout F \nT stdout F three\n");
  EXPECT_EQ(sink_.writes, 1);
}

TEST_F(LogFormatterTest, JoinsALineThatComesInPieces) {
  Feed("he");
  EXPECT_TRUE(formatter_.has_partial());
  Feed("ll");
  EXPECT_EQ(sink_.text, "");
  Feed("o\nwor");
  EXPECT_EQ(sink_.text, "T stdout F hello\n");
  Feed("ld\n");
  EXPECT_EQ(sink_.text, "T stdout F hello\nT stdout F world\n");
  EXPECT_FALSE(formatter_.has_partial());
}

TEST_F(LogFormatterTest, SplitsLongLines) {
  const std::string part(LogFormatter::kMaxContent, 'x');
  Feed(part + part + "rest\n");
  EXPECT_EQ(sink_.text, "T stdout P " + part + "\nT stdout P " + part +
                            "\nT stdout F rest\n");
}

TEST_F(LogFormatterTest, ALineOfExactlyTheLimitIsNotSplit) {
  const std::string part(LogFormatter::kMaxContent, 'x');
  Feed(part);
  EXPECT_EQ(sink_.text, "");
  Feed("\n");
  EXPECT_EQ(sink_.text, "T stdout F " + part + "\n");
}

TEST_F(LogFormatterTest, OneByteOverTheLimitIsSplitAlsoAcrossReads) {
  const std::string part(LogFormatter::kMaxContent, 'x');
  Feed(part);
  Feed("y\n");
  EXPECT_EQ(sink_.text, "T stdout P " + part + "\nT stdout F y\n");
}

TEST_F(LogFormatterTest, KeepsBinaryBytes) {
  std::string bytes;
  for (int i = 0; i < 256; ++i) {
    if (i != '\n') {
      bytes.push_back(static_cast<char>(i));
    }
  }
  Feed(bytes + "\n");
  EXPECT_EQ(sink_.text, "T stdout F " + bytes + "\n");
}

TEST_F(LogFormatterTest, ManyShortLinesStayBelowTheGatherLimit) {
  std::string want;
  std::string data;
  for (int i = 0; i < 5000; ++i) {
    data += "\n";
    want += "T stdout F \n";
  }
  Feed(data);
  EXPECT_EQ(sink_.text, want);
}

TEST_F(LogFormatterTest, AFlushedStartOfALineIsFinishedByItsRest) {
  Feed("prompt> ");
  formatter_.FlushPartial(time_, sink_);
  EXPECT_EQ(sink_.text, "T stdout P prompt> \n");
  EXPECT_FALSE(formatter_.has_partial());
  formatter_.FlushPartial(time_, sink_);  // nothing is left to flush
  Feed("\n");
  EXPECT_EQ(sink_.text, "T stdout P prompt> \nT stdout F \n");
}

TEST_F(LogFormatterTest, TheEndOfTheStreamClosesTheOpenLine) {
  Feed("no newline");
  formatter_.Finish(time_, sink_);
  EXPECT_EQ(sink_.text, "T stdout F no newline\n");
  formatter_.Finish(time_, sink_);
  EXPECT_EQ(sink_.text, "T stdout F no newline\n");
}

TEST_F(LogFormatterTest, TheEndOfTheStreamClosesAFlushedLine) {
  Feed("start");
  formatter_.FlushPartial(time_, sink_);
  formatter_.Finish(time_, sink_);
  EXPECT_EQ(sink_.text, "T stdout P start\nT stdout F \n");
}

TEST_F(LogFormatterTest, NothingComesOfNothing) {
  Feed("");
  formatter_.FlushPartial(time_, sink_);
  formatter_.Finish(time_, sink_);
  EXPECT_EQ(sink_.writes, 0);
}

// Whatever the reads are cut into, the joined content is the same.
TEST_F(LogFormatterTest, ContentDoesNotDependOnHowReadsAreCut) {
  std::string data;
  for (int i = 0; i < 3000; ++i) {
    data += std::string(static_cast<size_t>(i * 37 % 97), 'a' + i % 26);
    if (i % 3 == 0) {
      data += '\n';
    }
  }
  data += std::string(40000, 'z');
  Feed(data);
  formatter_.Finish(time_, sink_);
  const std::string whole = sink_.text;
  for (const size_t step : {1u, 7u, 4096u, 16384u, 16385u, 32768u}) {
    StringSink sink;
    LogFormatter formatter("stdout");
    for (size_t at = 0; at < data.size(); at += step) {
      formatter.Feed(data.data() + at, std::min(step, data.size() - at), time_,
                     sink);
    }
    formatter.Finish(time_, sink);
    EXPECT_EQ(sink.text, whole) << "step " << step;
  }
}

}  // namespace
}  // namespace quoll::runtime::monitor
