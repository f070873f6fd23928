// SPDX-License-Identifier: Apache-2.0
#include "ctl/pod_logs.h"

#include <filesystem>
#include <fstream>

#include "gtest/gtest.h"

#include "tests/support/status_matchers.h"
#include "tests/support/temp_dir.h"

namespace quoll::ctl {
namespace {

using ::quoll::testing::IsOk;
namespace fs = std::filesystem;

class PodLogsTest : public ::testing::Test {
 protected:
  // A log directory as `run` has the daemon make it.
  std::string Make(const std::string& uid) {
    const std::string directory = PodLogDirectory(socket_, uid);
    fs::create_directories(directory);
    std::ofstream(directory + "/c.log") << "x\n";
    return directory;
  }

  quoll::testing::TempDir dir_;
  const std::string socket_ = dir_ / "quoll.sock";
};

TEST_F(PodLogsTest, UidsDiffer) {
  EXPECT_NE(NewPodUid(), NewPodUid());
}

TEST_F(PodLogsTest, TheLastOneTakesTheCommonDirectoryAlong) {
  const std::string one = NewPodUid();
  const std::string two = NewPodUid();
  const std::string kept = Make(two);
  const std::string gone = Make(one);

  EXPECT_THAT(RemovePodLogs(socket_, one), IsOk());
  EXPECT_FALSE(fs::exists(gone));
  EXPECT_TRUE(fs::exists(kept));

  EXPECT_THAT(RemovePodLogs(socket_, two), IsOk());
  EXPECT_FALSE(fs::exists(dir_ / "logs"));
  EXPECT_THAT(RemovePodLogs(socket_, two), IsOk());
}

TEST_F(PodLogsTest, OnlyUidsOfOursChooseAPath) {
  const std::string kept = Make("quollctl-kept");
  fs::create_directories(dir_ / "precious");
  for (const char* uid :
       {"", "quollctl-", "quollctl-kept", "../precious",
        "quollctl-/../../precious", "quollctl-0123456789abcdef0123456789abcde",
        "0123456789abcdef0123456789abcdef",
        "quollctl-0123456789abcdef0123456789abcd/."}) {
    EXPECT_THAT(RemovePodLogs(socket_, uid), IsOk());
  }
  EXPECT_TRUE(fs::exists(kept));
  EXPECT_TRUE(fs::exists(dir_ / "precious"));
}

}  // namespace
}  // namespace quoll::ctl
