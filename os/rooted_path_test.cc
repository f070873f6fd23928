// SPDX-License-Identifier: Apache-2.0
#include "os/rooted_path.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "os/files.h"
#include "tests/support/status_matchers.h"
#include "tests/support/temp_dir.h"

namespace quoll::os {
namespace {

using ::quoll::testing::IsOk;
using ::quoll::testing::IsOkAndHolds;
using ::quoll::testing::StatusIs;

class RootedPathTest : public ::testing::Test {
 protected:
  RootedPathTest() {
    EXPECT_THAT(MakeDirectories(dir_ / "root/etc", 0755), IsOk());
    EXPECT_THAT(ReplaceFile(dir_ / "root/etc/passwd", "inside", 0644), IsOk());
    EXPECT_THAT(ReplaceFile(dir_ / "outside", "outside", 0644), IsOk());
    root_ = UniqueFd(
        open((dir_ / "root").c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  }
  void Link(const std::string& target, const std::string& name) {
    ASSERT_EQ(symlink(target.c_str(), (dir_ / ("root/" + name)).c_str()), 0);
  }
  absl::StatusOr<std::string> Read(const std::string& path) {
    return ReadFileInRoot(root_.get(), path, 100);
  }

  quoll::testing::TempDir dir_;
  UniqueFd root_;
};

TEST_F(RootedPathTest, StaysInside) {
  Link("/etc/passwd", "absolute");
  Link("../../../../etc/passwd", "dots");
  EXPECT_THAT(Read("/etc/passwd"), IsOkAndHolds("inside"));
  EXPECT_THAT(Read("etc/passwd"), IsOkAndHolds("inside"));
  EXPECT_THAT(Read("absolute"), IsOkAndHolds("inside"));
  EXPECT_THAT(Read("dots"), IsOkAndHolds("inside"));
  EXPECT_THAT(Read("../outside"), StatusIs(absl::StatusCode::kNotFound));
}

TEST_F(RootedPathTest, EmptyPathIsTheRoot) {
  EXPECT_THAT(OpenInRoot(root_.get(), "", O_PATH | O_DIRECTORY), IsOk());
}

TEST_F(RootedPathTest, RefusesWhatIsNotARegularFile) {
  ASSERT_EQ(mkfifo((dir_ / "root/fifo").c_str(), 0644), 0);
  Link("loop", "loop");
  EXPECT_THAT(Read("fifo"), StatusIs(absl::StatusCode::kFailedPrecondition));
  EXPECT_THAT(Read("etc"), StatusIs(absl::StatusCode::kFailedPrecondition));
  EXPECT_FALSE(Read("loop").ok());
  EXPECT_THAT(Read("none"), StatusIs(absl::StatusCode::kNotFound));
  EXPECT_THAT(Read(std::string("a\0b", 3)),
              StatusIs(absl::StatusCode::kInvalidArgument));
}

TEST_F(RootedPathTest, LimitsTheSize) {
  EXPECT_THAT(ReadFileInRoot(root_.get(), "etc/passwd", 6),
              IsOkAndHolds("inside"));
  EXPECT_THAT(ReadFileInRoot(root_.get(), "etc/passwd", 5),
              StatusIs(absl::StatusCode::kResourceExhausted));
}

TEST_F(RootedPathTest, RefusesMagicLinks) {
  const UniqueFd slash(open("/", O_PATH | O_DIRECTORY | O_CLOEXEC));
  EXPECT_FALSE(OpenInRoot(slash.get(), "proc/self/fd/0", O_PATH).ok());
  EXPECT_FALSE(OpenInRoot(slash.get(), "proc/self/root/etc", O_PATH).ok());
}

TEST_F(RootedPathTest, MakesDirectoriesInside) {
  ASSERT_EQ(mkdir((dir_ / "root/real").c_str(), 0755), 0);
  Link("/real", "link");
  auto made = MakeDirectoriesInRoot(root_.get(), "/link/a/../b//c", 01777);
  ASSERT_THAT(made, IsOk());
  struct stat info;
  ASSERT_EQ(stat((dir_ / "root/real/b/c").c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 07777, 01777u);
  struct stat opened;
  ASSERT_EQ(fstat(made->get(), &opened), 0);
  EXPECT_EQ(opened.st_ino, info.st_ino);
  EXPECT_THAT(MakeDirectoriesInRoot(root_.get(), "../../up", 0755), IsOk());
  EXPECT_TRUE(Exists(dir_ / "root/up"));
  EXPECT_FALSE(Exists(dir_ / "up"));
}

TEST_F(RootedPathTest, MakesNoDirectoryThroughADanglingLinkOrFile) {
  Link("/nowhere", "dangling");
  EXPECT_THAT(MakeDirectoriesInRoot(root_.get(), "dangling/x", 0755),
              StatusIs(absl::StatusCode::kNotFound));
  EXPECT_THAT(MakeDirectoriesInRoot(root_.get(), "etc/passwd/x", 0755),
              StatusIs(absl::StatusCode::kFailedPrecondition));
}

}  // namespace
}  // namespace quoll::os
