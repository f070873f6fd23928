// SPDX-License-Identifier: Apache-2.0
#include "runtime/anonymous_volumes.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "os/files.h"
#include "os/unique_fd.h"
#include "runtime/copy_tree.h"
#include "tests/support/status_matchers.h"
#include "tests/support/temp_dir.h"

namespace quoll::runtime {
namespace {

namespace fs = std::filesystem;
using ::quoll::testing::IsOk;
using ::quoll::testing::StatusIs;
using ::testing::SizeIs;

class AnonymousVolumesTest : public ::testing::Test {
 protected:
  AnonymousVolumesTest() {
    fs::create_directories(dir_ / "rootfs/data/sub");
    std::ofstream(dir_ / "rootfs/data/sub/file") << "content";
    fs::create_symlink("sub/file", dir_ / "rootfs/data/link");
    fs::create_directories(dir_ / "secret");
    std::ofstream(dir_ / "secret/key") << "host";
    fs::create_symlink(dir_ / "secret", dir_ / "rootfs/escape");
    chmod((dir_ / "rootfs/data").c_str(), 01770);
    container_.set_id("c1");
  }

  absl::StatusOr<LaunchPatch> Prepare() {
    return volumes_.Prepare({.sandbox = sandbox_,
                             .container = container_,
                             .rootfs = dir_ / "rootfs",
                             .upper = "",
                             .work = ""});
  }

  testing::TempDir dir_;
  Paths paths_{dir_ / "state", dir_ / "run"};
  AnonymousVolumes volumes_{paths_};
  SandboxRecord sandbox_;
  ContainerRecord container_;
};

TEST_F(AnonymousVolumesTest, BeginsWithTheContentOfTheImage) {
  auto& config = *container_.mutable_spec()->mutable_image_config();
  config.add_volumes("/data");
  config.add_volumes("/data/");
  config.add_volumes("new");
  const auto patch = Prepare();
  ASSERT_THAT(patch, IsOk());
  ASSERT_THAT(patch->mounts, SizeIs(2));
  EXPECT_EQ(patch->mounts[0].destination, "/data");
  EXPECT_EQ(patch->mounts[1].destination, "/new");
  const std::string source = patch->mounts[0].source;
  EXPECT_EQ(*os::ReadFile(source + "/sub/file"), "content");
  EXPECT_EQ(fs::read_symlink(source + "/link"), "sub/file");
  struct stat info {};
  ASSERT_EQ(stat(source.c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 07777, 01770u);
  EXPECT_THAT(volumes_.Cleanup("c1"), IsOk());
  EXPECT_THAT(volumes_.Cleanup("c1"), IsOk());
  EXPECT_FALSE(os::Exists(paths_.Volumes("c1")));
}

TEST_F(AnonymousVolumesTest, MountsOfThePodCoverVolumes) {
  auto& spec = *container_.mutable_spec();
  spec.mutable_image_config()->add_volumes("/data/sub");
  spec.add_mounts()->set_container_path("/data/");
  const auto patch = Prepare();
  ASSERT_THAT(patch, IsOk());
  EXPECT_THAT(patch->mounts, SizeIs(0));
}

TEST_F(AnonymousVolumesTest, LinksOutOfTheImageLeadNowhere) {
  container_.mutable_spec()->mutable_image_config()->add_volumes("/escape");
  const auto patch = Prepare();
  ASSERT_THAT(patch, IsOk());
  EXPECT_FALSE(os::Exists(patch->mounts[0].source + "/key"));
  container_.mutable_spec()->mutable_image_config()->add_volumes("/..");
  EXPECT_THAT(Prepare(), StatusIs(absl::StatusCode::kInvalidArgument));
}

TEST_F(AnonymousVolumesTest, RecoverRemovesVolumesOfNobody) {
  fs::create_directories(paths_.Volumes("c1") + "/0");
  fs::create_directories(paths_.Volumes("gone") + "/0");
  EXPECT_THAT(volumes_.Recover({}),
              StatusIs(absl::StatusCode::kFailedPrecondition));
  EXPECT_THAT(volumes_.Recover({container_}), IsOk());
  EXPECT_TRUE(os::Exists(paths_.Volumes("c1")));
  EXPECT_FALSE(os::Exists(paths_.Volumes("gone")));
}

TEST_F(AnonymousVolumesTest, CopyKeepsItsLimits) {
  const auto copy = [&](const CopyLimits& limits) {
    fs::remove_all(dir_ / "copy");
    fs::create_directory(dir_ / "copy");
    const os::UniqueFd from(
        open((dir_ / "rootfs").c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    const os::UniqueFd to(
        open((dir_ / "copy").c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    return CopyTree(from.get(), to.get(), limits);
  };
  constexpr auto kTooMuch = absl::StatusCode::kResourceExhausted;
  mkfifo((dir_ / "rootfs/fifo").c_str(), 0600);
  EXPECT_THAT(copy({}), IsOk());
  EXPECT_FALSE(os::Exists(dir_ / "copy/fifo"));
  EXPECT_THAT(copy({.max_bytes = 3}), StatusIs(kTooMuch));
  EXPECT_THAT(copy({.max_entries = 2}), StatusIs(kTooMuch));
  EXPECT_THAT(copy({.max_depth = 1}), StatusIs(kTooMuch));
  EXPECT_THAT(copy({.deadline = absl::InfinitePast()}),
              StatusIs(absl::StatusCode::kDeadlineExceeded));
}

}  // namespace
}  // namespace quoll::runtime
