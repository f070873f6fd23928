// SPDX-License-Identifier: Apache-2.0
#include "os/files.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "tests/support/status_matchers.h"
#include "tests/support/temp_dir.h"

namespace quoll::os {
namespace {

using ::quoll::testing::IsOk;
using ::quoll::testing::IsOkAndHolds;
using ::quoll::testing::StatusIs;
using ::quoll::testing::TempDir;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

mode_t ModeOf(const std::string& path) {
  struct stat info = {};
  EXPECT_EQ(lstat(path.c_str(), &info), 0) << path;
  return info.st_mode & 07777;
}

TEST(ReadFileTest, ReadsAndLimits) {
  TempDir dir;
  const std::string big(200'000, 'x');
  ASSERT_THAT(ReplaceFile(dir / "f", big, 0600), IsOk());
  EXPECT_THAT(ReadFile(dir / "f"), IsOkAndHolds(big));
  EXPECT_THAT(ReadFile(dir / "f", big.size()), IsOkAndHolds(big));
  EXPECT_THAT(ReadFile(dir / "f", big.size() - 1),
              StatusIs(absl::StatusCode::kResourceExhausted, HasSubstr("/f")));
  EXPECT_THAT(ReadFile(dir / "none"),
              StatusIs(absl::StatusCode::kNotFound, HasSubstr("/none")));
  EXPECT_THAT(ReadFile("/proc/self/status"), IsOkAndHolds(HasSubstr("Name:")));
  EXPECT_THAT(ReadFile(dir.path()),
              StatusIs(absl::StatusCode::kFailedPrecondition));
}

TEST(WriteFileTest, ReplacesContentAndMode) {
  TempDir dir;
  EXPECT_THAT(WriteFileAtomically(dir / "f", "one", 0600), IsOk());
  EXPECT_THAT(WriteFileAtomically(dir / "f", "two", 0666), IsOk());
  EXPECT_THAT(ReadFile(dir / "f"), IsOkAndHolds("two"));
  EXPECT_EQ(ModeOf(dir / "f"), 0666u);  // in spite of the umask
  EXPECT_THAT(ListDirectory(dir.path()), IsOkAndHolds(ElementsAre("f")));
}

TEST(WriteFileTest, LeavesNoTemporaryBehindAnError) {
  TempDir dir;
  ASSERT_THAT(MakeDirectories(dir / "d/inner", 0755), IsOk());
  EXPECT_FALSE(WriteFileAtomically(dir / "d", "x", 0600).ok());
  EXPECT_THAT(ListDirectory(dir.path()), IsOkAndHolds(ElementsAre("d")));
  EXPECT_THAT(WriteFileAtomically(dir / "none/f", "x", 0600),
              StatusIs(absl::StatusCode::kNotFound, HasSubstr("none/f")));
}

TEST(WriteControlFileTest, WritesOnlyWhatExists) {
  TempDir dir;
  EXPECT_THAT(WriteControlFile(dir / "none", "1"),
              StatusIs(absl::StatusCode::kNotFound));
  EXPECT_FALSE(Exists(dir / "none"));
  ASSERT_THAT(ReplaceFile(dir / "f", "", 0600), IsOk());
  EXPECT_THAT(WriteControlFile(dir / "f", "42"), IsOk());
  EXPECT_THAT(ReadFile(dir / "f"), IsOkAndHolds("42"));
}

TEST(MakeDirectoriesTest, MakesParentsAndKeepsExisting) {
  TempDir dir;
  EXPECT_THAT(MakeDirectories(dir / "a/b//c/", 0700), IsOk());
  EXPECT_EQ(ModeOf(dir / "a/b/c"), 0700u);
  EXPECT_THAT(MakeDirectories(dir / "a/b", 0755), IsOk());
  EXPECT_EQ(ModeOf(dir / "a/b"), 0700u);
  ASSERT_THAT(ReplaceFile(dir / "file", "", 0600), IsOk());
  EXPECT_THAT(MakeDirectories(dir / "file/x", 0700),
              StatusIs(absl::StatusCode::kFailedPrecondition));
}

TEST(ListDirectoryTest, IsSorted) {
  TempDir dir;
  for (const char* name : {"b", "a", ".c"}) {
    ASSERT_THAT(ReplaceFile(dir / name, "", 0600), IsOk());
  }
  EXPECT_THAT(ListDirectory(dir.path()),
              IsOkAndHolds(ElementsAre(".c", "a", "b")));
  EXPECT_THAT(ListDirectory(dir / "none"),
              StatusIs(absl::StatusCode::kNotFound));
}

TEST(RemoveTreeTest, RemovesFilesTreesAndNothing) {
  TempDir dir;
  EXPECT_THAT(RemoveTree(dir / "none"), IsOk());
  EXPECT_THAT(RemoveTree(dir / "none/at/all"), IsOk());
  ASSERT_THAT(ReplaceFile(dir / "file", "", 0600), IsOk());
  EXPECT_THAT(RemoveTree(dir / "file"), IsOk());
  ASSERT_THAT(MakeDirectories(dir / "t/a/b", 0755), IsOk());
  for (const char* name : {"t/f", "t/a/f", "t/a/b/f"}) {
    ASSERT_THAT(ReplaceFile(dir / name, "", 0600), IsOk());
  }
  ASSERT_EQ(mkfifo((dir / "t/fifo").c_str(), 0600), 0);
  EXPECT_THAT(RemoveTree(dir / "t/"), IsOk());
  EXPECT_THAT(ListDirectory(dir.path()), IsOkAndHolds(IsEmpty()));
}

TEST(RemoveTreeTest, DoesNotFollowSymlinks) {
  TempDir dir;
  ASSERT_THAT(MakeDirectories(dir / "precious", 0755), IsOk());
  ASSERT_THAT(ReplaceFile(dir / "precious/f", "", 0600), IsOk());
  ASSERT_THAT(MakeDirectories(dir / "t", 0755), IsOk());
  const std::string target = dir / "precious";
  ASSERT_EQ(symlink(target.c_str(), (dir / "t/link").c_str()), 0);
  ASSERT_EQ(symlink(target.c_str(), (dir / "link").c_str()), 0);
  EXPECT_THAT(RemoveTree(dir / "t"), IsOk());
  EXPECT_THAT(RemoveTree(dir / "link"), IsOk());
  EXPECT_TRUE(Exists(dir / "precious/f"));
  EXPECT_FALSE(Exists(dir / "link"));
}

TEST(RemoveTreeTest, RemovesDepthBeyondPathMaxAndDescriptors) {
  TempDir dir;
  ASSERT_EQ(mkdir((dir / "t").c_str(), 0755), 0);
  UniqueFd at(open((dir / "t").c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  const std::string name(100, 'd');
  for (int i = 0; i < 300; ++i) {
    ASSERT_EQ(mkdirat(at.get(), name.c_str(), 0755), 0);
    at = UniqueFd(
        openat(at.get(), name.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    ASSERT_TRUE(at.valid());
  }
  EXPECT_THAT(RemoveTree(dir / "t"), IsOk());
  EXPECT_FALSE(Exists(dir / "t"));
}

TEST(RemoveTreeTest, RefusesWhatIsNoName) {
  for (const char* path : {"", "/", ".", "..", "/tmp/..", "/tmp/."}) {
    EXPECT_THAT(RemoveTree(path), StatusIs(absl::StatusCode::kInvalidArgument))
        << path;
  }
}

}  // namespace
}  // namespace quoll::os
