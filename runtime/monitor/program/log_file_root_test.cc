// SPDX-License-Identifier: Apache-2.0
// Root only because a full disk is a small tmpfs.
#include "runtime/monitor/program/log_file.h"

#include <errno.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "tests/support/temp_dir.h"

namespace quoll::runtime::monitor {
namespace {

using ::testing::ContainsRegex;
using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

std::string Slurp(const std::string& path) {
  std::ifstream file(path);
  std::stringstream text;
  text << file.rdbuf();
  return text.str();
}

void Write(LogFile& log, std::string line) {
  iovec part = {line.data(), line.size()};
  log.Write(&part, 1, line.size());
}

TEST(LogFileTest, DropsWhatDoesNotFitAndSaysSoWhenThereIsSpace) {
  testing::TempDir temp;
  const std::string dir = temp.path() + "/disk";
  ASSERT_EQ(mkdir(dir.c_str(), 0700), 0);
  ASSERT_EQ(mount("tmpfs", dir.c_str(), "tmpfs", 0, "size=16k"), 0);
  const std::string path = dir + "/log";
  std::ofstream(dir + "/filler") << std::string(4096, 'f');
  LogFile log;
  log.SetPath(path.c_str());
  ASSERT_EQ(log.Reopen(), 0);
  Write(log, "T stdout F first\n");
  // Fits in part: taken back, so that the file never ends inside a line.
  Write(log, "T stdout F " + std::string(20000, 'x') + "\n");
  EXPECT_EQ(Slurp(path), "T stdout F first\n");
  Write(log, "T stdout F " + std::string(20000, 'y') + "\n");
  ASSERT_EQ(unlink((dir + "/filler").c_str()), 0);
  Write(log, "T stdout F last\n");
  const std::string text = Slurp(path);
  EXPECT_THAT(text, StartsWith("T stdout F first\n"));
  EXPECT_THAT(text, ContainsRegex("stderr F .quoll: [0-9]+ bytes of the log "
                                  "were dropped: no space left on device"));
  EXPECT_THAT(text, EndsWith("T stdout F last\n"));
  EXPECT_THAT(text, Not(HasSubstr("xxx")));
  ASSERT_EQ(umount2(dir.c_str(), MNT_DETACH), 0);
}

TEST(LogFileTest, ReopensAfterARename) {
  testing::TempDir temp;
  const std::string path = temp.path() + "/log";
  LogFile log;
  log.SetPath(path.c_str());
  ASSERT_EQ(log.Reopen(), 0);
  struct stat info;
  ASSERT_EQ(stat(path.c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0640u);
  Write(log, "one\n");
  std::filesystem::rename(path, path + ".1");
  Write(log, "two\n");
  ASSERT_EQ(log.Reopen(), 0);
  Write(log, "three\n");
  EXPECT_EQ(Slurp(path + ".1"), "one\ntwo\n");
  EXPECT_EQ(Slurp(path), "three\n");
}

TEST(LogFileTest, AFailedReopenKeepsTheOldFile) {
  testing::TempDir temp;
  const std::string dir = temp.path() + "/dir";
  std::filesystem::create_directory(dir);
  const std::string path = dir + "/log";
  LogFile log;
  log.SetPath(path.c_str());
  ASSERT_EQ(log.Reopen(), 0);
  std::filesystem::rename(dir, temp.path() + "/moved");
  EXPECT_EQ(log.Reopen(), -ENOENT);
  Write(log, "kept\n");
  EXPECT_EQ(Slurp(temp.path() + "/moved/log"), "kept\n");
}

TEST(LogFileTest, RefusesAFifoInsteadOfHanging) {
  testing::TempDir temp;
  const std::string path = temp.path() + "/fifo";
  ASSERT_EQ(mkfifo(path.c_str(), 0600), 0);
  LogFile log;
  log.SetPath(path.c_str());
  EXPECT_EQ(log.Reopen(), -ENXIO);
}

TEST(LogFileTest, WithoutAPathEverythingIsDropped) {
  LogFile log;
  EXPECT_EQ(log.Reopen(), 0);
  Write(log, "gone\n");
}

}  // namespace
}  // namespace quoll::runtime::monitor
