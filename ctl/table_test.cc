// SPDX-License-Identifier: Apache-2.0
#include "ctl/table.h"

#include <limits>

#include "absl/time/clock.h"
#include "gtest/gtest.h"

namespace quoll::ctl {
namespace {

constexpr int64_t kSecond = 1'000'000'000;

TEST(PrintableTest, KeepsTextOfAnyLanguage) {
  EXPECT_EQ(Printable("nginx:1.25"), "nginx:1.25");
  EXPECT_EQ(Printable("b\u00e4r \u2192 \u65e5\u672c \U0001f43e"),
            "b\u00e4r \u2192 \u65e5\u672c \U0001f43e");
}

TEST(PrintableTest, ReplacesTerminalControls) {
  EXPECT_EQ(Printable("a\x1b[31mb\x7f\r\b"), "a?[31mb???");
  EXPECT_EQ(Printable("a\nb\tc"), "a b c");
  EXPECT_EQ(Printable(absl::string_view("a\0b", 3)), "a?b");
  // CSI as one character (U+009B), which terminals obey as well.
  EXPECT_EQ(Printable("\u009b31m"), "?31m");
}

TEST(PrintableTest, ReplacesWhatReordersText) {
  EXPECT_EQ(Printable("a\u202eb\u2066c\u200fd\u2028e"), "a?b?c?d?e");
}

TEST(PrintableTest, ReplacesBytesThatAreNoUtf8) {
  EXPECT_EQ(Printable("\x9b\x41"), "?A");            // a lone trail byte
  EXPECT_EQ(Printable("\xe6\x97"), "??");            // cut off
  EXPECT_EQ(Printable("\xc1\x9b"), "??");            // longer than it has to be
  EXPECT_EQ(Printable("\xe0\x80\x9b"), "???");       // that, with three bytes
  EXPECT_EQ(Printable("\xed\xa0\x80"), "???");       // a surrogate
  EXPECT_EQ(Printable("\xf4\x90\x80\x80"), "????");  // behind Unicode's end
  EXPECT_EQ(Printable("\xff"), "?");
}

TEST(FormatTableTest, AlignsColumnsAndLeavesNoBlanksAtLineEnds) {
  EXPECT_EQ(FormatTable({"ID", "NAME", ""},
                        {{"1", "long name", ""}, {"22", "x", "pinned"}}),
            "ID  NAME\n"
            "1   long name\n"
            "22  x          pinned\n");
}

TEST(FormatTableTest, CountsCharactersAndNotBytes) {
  EXPECT_EQ(FormatTable({"A", "B"}, {{"b\u00e4r", "1"}, {"bear", "2"}}),
            "A     B\n"
            "b\u00e4r   1\n"
            "bear  2\n");
}

TEST(FormatTableTest, NoCellBreaksOutOfItsPlace) {
  EXPECT_EQ(FormatTable({"A", "B"}, {{"x\n\x1b[2J", "y"}}),
            "A       B\n"
            "x ?[2J  y\n");
}

TEST(FormatTableTest, OnlyTheHeadingWhereNothingIs) {
  EXPECT_EQ(FormatTable({"POD", "NAME"}, {}), "POD  NAME\n");
}

TEST(FormatAgeTest, TakesTheUnitThatPeopleWould) {
  const absl::Time now = absl::FromUnixSeconds(10'000'000);
  const auto age = [now](int64_t seconds) {
    return FormatAge((10'000'000 - seconds) * kSecond, now);
  };
  EXPECT_EQ(age(0), "0 s");
  EXPECT_EQ(age(119), "119 s");
  EXPECT_EQ(age(120), "2 min");
  EXPECT_EQ(age(2 * 3600 - 1), "119 min");
  EXPECT_EQ(age(2 * 3600), "2 h");
  EXPECT_EQ(age(48 * 3600), "2 d");
  EXPECT_EQ(age(-5), "0 s");
}

TEST(FormatAgeTest, BearsAnyNumber) {
  EXPECT_EQ(FormatAge(0, absl::Now()), "-");
  EXPECT_EQ(FormatAge(std::numeric_limits<int64_t>::max(), absl::Now()), "0 s");
  EXPECT_NE(FormatAge(std::numeric_limits<int64_t>::min(), absl::Now()), "");
}

TEST(FormatSizeTest, IsRoundedToOneDigit) {
  EXPECT_EQ(FormatSize(0), "0 B");
  EXPECT_EQ(FormatSize(1023), "1023 B");
  EXPECT_EQ(FormatSize(1024), "1.0 KiB");
  EXPECT_EQ(FormatSize(4u << 20), "4.0 MiB");
  EXPECT_EQ(FormatSize(uint64_t{3} << 39), "1.5 TiB");
  EXPECT_EQ(FormatSize(std::numeric_limits<uint64_t>::max()), "16384.0 PiB");
}

TEST(ShortIdTest, IsTwelveDigitsWithoutTheAlgorithm) {
  EXPECT_EQ(ShortId("sha256:0123456789abcdef"), "0123456789ab");
  EXPECT_EQ(ShortId("0123456789abcdef"), "0123456789ab");
  EXPECT_EQ(ShortId("01"), "01");
}

}  // namespace
}  // namespace quoll::ctl
