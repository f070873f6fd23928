// SPDX-License-Identifier: Apache-2.0
// RemoveTree where it must not go.
#include "os/files.h"

#include <fcntl.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/mount.h>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "tests/support/status_matchers.h"
#include "tests/support/temp_dir.h"

namespace quoll::os {
namespace {

using ::quoll::testing::IsOk;
using ::quoll::testing::StatusIs;
using ::quoll::testing::TempDir;
using ::testing::HasSubstr;

TEST(RemoveTreeRootTest, StopsAtMounts) {
  TempDir dir;
  for (const char* name : {"t/mnt", "t/a/b", "precious"}) {
    ASSERT_THAT(MakeDirectories(dir / name, 0755), IsOk());
  }
  ASSERT_THAT(ReplaceFile(dir / "precious/f", "", 0600), IsOk());
  // A bind of the same file system: the device number would not show it.
  const std::string mounted = dir / "t/mnt";
  ASSERT_EQ(::mount((dir / "precious").c_str(), mounted.c_str(), nullptr,
                    MS_BIND, nullptr),
            0);
  EXPECT_THAT(
      RemoveTree(dir / "t"),
      StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr(mounted)));
  EXPECT_TRUE(Exists(dir / "precious/f"));
  EXPECT_FALSE(Exists(dir / "t/a"));  // what could be removed is gone
  // The mount point itself is no better.
  EXPECT_THAT(RemoveTree(mounted),
              StatusIs(absl::StatusCode::kFailedPrecondition));
  EXPECT_TRUE(Exists(dir / "precious/f"));
  ASSERT_EQ(umount2(mounted.c_str(), 0), 0);
  EXPECT_THAT(RemoveTree(dir / "t"), IsOk());
}

TEST(RemoveTreeRootTest, StopsAtAFileThatIsAMountPoint) {
  TempDir dir;
  ASSERT_THAT(MakeDirectories(dir / "t", 0755), IsOk());
  const std::string file = dir / "t/file";
  ASSERT_THAT(ReplaceFile(file, "", 0600), IsOk());
  ASSERT_EQ(::mount("/dev/null", file.c_str(), nullptr, MS_BIND, nullptr), 0);
  EXPECT_THAT(RemoveTree(dir / "t"),
              StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr(file)));
  ASSERT_EQ(umount2(file.c_str(), 0), 0);
}

TEST(RemoveTreeRootTest, ReportsAnImmutableFile) {
  TempDir dir;
  ASSERT_THAT(MakeDirectories(dir / "t/a", 0755), IsOk());
  ASSERT_THAT(ReplaceFile(dir / "t/a/fixed", "", 0600), IsOk());
  ASSERT_THAT(ReplaceFile(dir / "t/other", "", 0600), IsOk());
  const UniqueFd fd(open((dir / "t/a/fixed").c_str(), O_RDONLY | O_CLOEXEC));
  int flags = FS_IMMUTABLE_FL;
  if (ioctl(fd.get(), FS_IOC_SETFLAGS, &flags) != 0) {
    GTEST_SKIP() << "this file system has no immutable files";
  }
  EXPECT_THAT(
      RemoveTree(dir / "t"),
      StatusIs(absl::StatusCode::kPermissionDenied, HasSubstr("t/a/fixed")));
  EXPECT_FALSE(Exists(dir / "t/other"));
  flags = 0;
  EXPECT_EQ(ioctl(fd.get(), FS_IOC_SETFLAGS, &flags), 0);
}

}  // namespace
}  // namespace quoll::os
