// SPDX-License-Identifier: Apache-2.0
#include "os/mount.h"

#include <algorithm>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "os/files.h"

namespace quoll::os {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

TEST(ParseMountInfoTest, TakesALineApart) {
  const std::vector<MountInfo> mounts = ParseMountInfo(
      "36 35 98:0 /sub /mnt/a\\040b\\134c rw,noatime shared:1 master:2 - "
      "overlay none\\011x rw,lowerdir=/l\n"
      "37 35 98:0 / /plain ro - tmpfs  rw\n");
  ASSERT_EQ(mounts.size(), 2u);
  EXPECT_EQ(mounts[0].id, 36u);
  EXPECT_EQ(mounts[0].root, "/sub");
  EXPECT_EQ(mounts[0].mount_point, "/mnt/a b\\c");
  EXPECT_EQ(mounts[0].options, "rw,noatime");
  EXPECT_EQ(mounts[0].optional_fields, "shared:1 master:2");
  EXPECT_EQ(mounts[0].fstype, "overlay");
  EXPECT_EQ(mounts[0].source, "none\tx");
  EXPECT_EQ(mounts[0].super_options, "rw,lowerdir=/l");
  EXPECT_EQ(mounts[1].optional_fields, "");
  EXPECT_EQ(mounts[1].source, "");
}

TEST(ParseMountInfoTest, SkipsWhatItCannotRead) {
  EXPECT_THAT(ParseMountInfo(""), IsEmpty());
  EXPECT_THAT(ParseMountInfo("rubbish\n\n1 2 3\n36 35 98:0 / /x rw -\n"
                             "x 35 98:0 / /x rw - a b c\n"),
              IsEmpty());
  // A backslash that starts no octal code is itself.
  EXPECT_EQ(ParseMountInfo("1 1 0:1 / /a\\x\\04 rw - t s o")[0].mount_point,
            "/a\\x\\04");
}

TEST(ParseMountInfoTest, ReadsTheRealOne) {
  const auto text = ReadFile("/proc/self/mountinfo");
  ASSERT_TRUE(text.ok());
  const auto lines = std::count(text->begin(), text->end(), '\n');
  EXPECT_EQ(ParseMountInfo(*text).size(), static_cast<size_t>(lines));
}

TEST(MountPointsUnderTest, KeepsWholeComponents) {
  const std::vector<std::string> all = {"/",   "/a",    "/a/b",
                                        "/ab", "/a!/c", "/a/b"};
  EXPECT_THAT(MountPointsUnder(all, "/a"), ElementsAre("/a/b", "/a"));
  EXPECT_THAT(MountPointsUnder(all, "/").size(), 5u);
  EXPECT_THAT(MountPointsUnder(all, "/x"), IsEmpty());
}

}  // namespace
}  // namespace quoll::os
