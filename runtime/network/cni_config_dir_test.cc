// SPDX-License-Identifier: Apache-2.0
#include "runtime/network/cni_config_dir.h"

#include <sys/stat.h>

#include <filesystem>
#include <fstream>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "os/event_loop.h"
#include "tests/support/status_matchers.h"
#include "tests/support/temp_dir.h"

namespace quoll::runtime {
namespace {

using ::quoll::testing::IsOk;
using ::quoll::testing::StatusIs;
using ::quoll::testing::TempDir;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

std::string ListNamed(const std::string& name) {
  return absl::StrCat(R"({"cniVersion":"1.0.0","name":")", name,
                      R"(","plugins":[{"type":"bridge"}]})");
}

void Write(const std::string& path, const std::string& text) {
  std::ofstream(path, std::ios::binary) << text;
}

TEST(LoadCniNetworkTest, FirstNameWins) {
  TempDir dir;
  Write(dir / "20-b.conflist", ListNamed("b"));
  Write(dir / "10-a.conf",
        R"({"cniVersion":"0.4.0","name":"a","type":"bridge"})");
  Write(dir / "05-not-a-config.txt", "words");
  const auto network = LoadCniNetwork(dir.path());
  ASSERT_THAT(network, IsOk());
  EXPECT_EQ(network->name, "a");
}

TEST(LoadCniNetworkTest, BrokenFilesAreSkippedAndReported) {
  TempDir dir;
  Write(dir / "10-a.conflist", "{");
  ASSERT_EQ(mkfifo((dir / "15-fifo.conflist").c_str(), 0600), 0);
  Write(dir / "20-b.conflist", ListNamed("b"));
  std::vector<std::string> skipped;
  const auto network = LoadCniNetwork(
      dir.path(), [&skipped](const std::string& path, const absl::Status&) {
        skipped.push_back(path);
      });
  ASSERT_THAT(network, IsOk());
  EXPECT_EQ(network->name, "b");
  EXPECT_THAT(skipped,
              ElementsAre(dir / "10-a.conflist", dir / "15-fifo.conflist"));
}

TEST(LoadCniNetworkTest, OnlyBrokenOnesAreNamedWithTheirMistakes) {
  TempDir dir;
  Write(dir / "10-a.conflist", "{\n\"name\" 1}");
  Write(dir / "20-b.json", "");
  EXPECT_THAT(LoadCniNetwork(dir.path()),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       AllOf(HasSubstr(dir.path()), HasSubstr("10-a.conflist"),
                             HasSubstr("line 2"),
                             HasSubstr("20-b.json: it is empty"))));
}

TEST(LoadCniNetworkTest, NoneAtAllSaysWhatToDo) {
  TempDir dir;
  EXPECT_THAT(LoadCniNetwork(dir.path()),
              StatusIs(absl::StatusCode::kFailedPrecondition,
                       AllOf(HasSubstr("no CNI configuration in"),
                             HasSubstr(".conflist"))));
  EXPECT_THAT(
      LoadCniNetwork(dir / "gone"),
      StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("gone")));
}

class CniConfigDirTest : public ::testing::Test {
 protected:
  void SetUp() override {
    auto loop = os::EventLoop::Create();
    ASSERT_THAT(loop, IsOk());
    loop_ = *std::move(loop);
  }

  void Watch(const std::string& dir) {
    auto watched = CniConfigDir::Create(dir, *loop_);
    ASSERT_THAT(watched, IsOk());
    watched_ = *std::move(watched);
  }

  bool Await(const std::function<bool()>& condition) {
    const absl::Time deadline = absl::Now() + absl::Seconds(30);
    while (!condition() && absl::Now() < deadline) {
      std::this_thread::yield();
    }
    return condition();
  }
  bool AwaitNetwork(const std::string& name) {
    return Await([&] {
      const auto current = watched_->Current();
      return current.ok() && (*current)->name == name;
    });
  }
  bool AwaitNone() {
    return Await([&] { return !watched_->Current().ok(); });
  }

  TempDir dir_;
  std::unique_ptr<os::EventLoop> loop_;
  std::unique_ptr<CniConfigDir> watched_;
};

TEST_F(CniConfigDirTest, MakesAMissingDirectoryAndSeesTheFirstFile) {
  Watch(dir_ / "cni/net.d");
  EXPECT_FALSE(watched_->Current().ok());
  Write(dir_ / "cni/net.d/10-a.conflist", ListNamed("a"));
  EXPECT_TRUE(AwaitNetwork("a"));
}

TEST_F(CniConfigDirTest, FollowsWritesRenamesAndRemovals) {
  Write(dir_ / "20-b.conflist", ListNamed("b"));
  Watch(dir_.path());
  EXPECT_TRUE(AwaitNetwork("b"));
  Write(dir_ / "10-a.tmp", ListNamed("a"));
  std::filesystem::rename(dir_ / "10-a.tmp", dir_ / "10-a.conflist");
  EXPECT_TRUE(AwaitNetwork("a"));
  Write(dir_ / "10-a.conflist", ListNamed("c"));
  EXPECT_TRUE(AwaitNetwork("c"));
  Write(dir_ / "10-a.conflist", "broken");
  EXPECT_TRUE(AwaitNetwork("b"));
  std::filesystem::remove(dir_ / "20-b.conflist");
  EXPECT_TRUE(AwaitNone());
  EXPECT_THAT(watched_->Current(), StatusIs(absl::StatusCode::kInvalidArgument,
                                            HasSubstr("10-a.conflist")));
  std::filesystem::create_symlink("real", dir_ / "05-link.conflist");
  Write(dir_ / "real", ListNamed("d"));
  EXPECT_TRUE(AwaitNetwork("d"));
}

TEST_F(CniConfigDirTest, DirectoryMayBeReplaced) {
  Write(dir_ / "10-a.conflist", ListNamed("a"));
  const std::string dir = dir_ / "net.d";
  Watch(dir);
  for (int round = 0; round < 2; ++round) {
    Write(dir + "/10-b.conflist", ListNamed("b"));
    EXPECT_TRUE(AwaitNetwork("b"));
    if (round == 0) {
      std::filesystem::remove_all(dir);
    } else {
      std::filesystem::rename(dir, dir_ / "away");
    }
    EXPECT_TRUE(AwaitNone());
    // It has been made and is watched again.
    EXPECT_TRUE(Await([&] { return std::filesystem::exists(dir); }));
  }
  Write(dir + "/10-c.conflist", ListNamed("c"));
  EXPECT_TRUE(AwaitNetwork("c"));
}

TEST_F(CniConfigDirTest, WhatIsHeldOutlivesAChange) {
  Write(dir_ / "10-a.conflist", ListNamed("a"));
  Watch(dir_.path());
  const auto held = watched_->Current();
  ASSERT_THAT(held, IsOk());
  std::filesystem::remove(dir_ / "10-a.conflist");
  EXPECT_TRUE(AwaitNone());
  EXPECT_EQ((*held)->name, "a");
}

}  // namespace
}  // namespace quoll::runtime
