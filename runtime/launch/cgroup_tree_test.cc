// SPDX-License-Identifier: Apache-2.0
#include "runtime/launch/cgroup_tree.h"

#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"

#include "tests/support/status_matchers.h"
#include "tests/support/temp_dir.h"

namespace quoll::runtime {
namespace {

using quoll::testing::IsOk;
using quoll::testing::IsOkAndHolds;
using quoll::testing::StatusIs;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

std::string Line(const std::string& root, const std::string& mount_point,
                 const std::string& type, const std::string& options) {
  return absl::StrCat("31 23 0:28 ", root, " ", mount_point, " rw,relatime - ",
                      type, " ", type, " ", options, "\n");
}

std::string Text(const std::filesystem::path& path) {
  std::ifstream in(path);
  return {std::istreambuf_iterator<char>(in), {}};
}

class CgroupTreeTest : public ::testing::Test {
 protected:
  void Write(const std::string& name, const std::string& text) {
    const std::filesystem::path path = dir_ / name;
    std::filesystem::create_directories(path.parent_path());
    std::ofstream(path) << text;
  }
  CgroupTree V1() {
    std::filesystem::create_directories(dir_ / "cpu");
    std::filesystem::create_directories(dir_ / "pids");
    return *CgroupTree::Detect(
        Line("/", dir_ / "cpu", "cgroup", "rw,cpu,cpuacct") +
        Line("/", dir_ / "pids", "cgroup", "rw,pids"));
  }
  quoll::testing::TempDir dir_;
};

TEST_F(CgroupTreeTest, TellsTheLayoutsApart) {
  const std::string v2 = Line("/", "/sys/fs/cgroup", "cgroup2", "rw");
  const std::string hybrid =
      Line("/", "/sys/fs/cgroup/memory", "cgroup", "rw,memory") +
      Line("/", "/sys/fs/cgroup/unified", "cgroup2", "rw");
  const std::string named =
      Line("/", "/sys/fs/cgroup/systemd", "cgroup", "rw,xattr,name=systemd");
  EXPECT_TRUE(CgroupTree::Detect(v2)->is_v2());
  EXPECT_TRUE(CgroupTree::Detect(v2 + named)->is_v2());
  EXPECT_TRUE(
      CgroupTree::Detect(Line("/", "/other", "cgroup2", "rw"))->is_v2());
  EXPECT_FALSE(CgroupTree::Detect(hybrid)->is_v2());
  EXPECT_THAT(CgroupTree::Detect(hybrid)->ProcsFiles("/a"),
              ElementsAre("/sys/fs/cgroup/memory/a/cgroup.procs",
                          "/sys/fs/cgroup/unified/a/cgroup.procs"));
  EXPECT_THAT(CgroupTree::Detect(Line("/", "/", "ext4", "rw") + "garbage\n"),
              StatusIs(absl::StatusCode::kFailedPrecondition));
}

TEST_F(CgroupTreeTest, PrefersTheWholeHierarchyToAPartOfIt) {
  const auto tree =
      CgroupTree::Detect(Line("/docker/1", "/part", "cgroup", "rw,memory") +
                         Line("/", "/whole", "cgroup", "rw,memory"));
  EXPECT_THAT(tree->ProcsFiles("/a"), ElementsAre("/whole/a/cgroup.procs"));
}

TEST_F(CgroupTreeTest, InAContainerPathsAreBelowItsOwnPart) {
  const auto tree =
      CgroupTree::Detect(Line("/docker/1", "/part", "cgroup", "rw,memory"));
  EXPECT_THAT(tree->ProcsFiles("/a"), ElementsAre("/part/a/cgroup.procs"));
}

TEST_F(CgroupTreeTest, CreatesAndRemovesInEveryHierarchyAgainAndAgain) {
  const CgroupTree tree = V1();
  const absl::Time deadline = absl::Now() + absl::Seconds(5);
  EXPECT_FALSE(tree.Exists("/k/p"));
  for (int i = 0; i < 2; ++i) {
    EXPECT_THAT(tree.Create("/k/p"), IsOk());
  }
  EXPECT_TRUE(std::filesystem::is_directory(dir_ / "cpu/k/p"));
  EXPECT_TRUE(std::filesystem::is_directory(dir_ / "pids/k/p"));
  EXPECT_THAT(tree.Create("/k/p/c"), IsOk());
  for (int i = 0; i < 2; ++i) {
    EXPECT_THAT(tree.Remove("/k/p", deadline), IsOk());
  }
  EXPECT_FALSE(tree.Exists("/k/p"));
  EXPECT_TRUE(tree.Exists("/k"));
}

TEST_F(CgroupTreeTest, RefusesPathsThatAreNotBelowTheRoot) {
  const CgroupTree tree = V1();
  for (const char* path : {"", "/", "a", "/a/../b", "/a//b", "/a/", "/./a",
                           "kubepods.slice:quoll:1"}) {
    EXPECT_THAT(tree.Create(path), StatusIs(absl::StatusCode::kInvalidArgument))
        << path;
    EXPECT_THAT(tree.Remove(path, absl::InfiniteFuture()),
                StatusIs(absl::StatusCode::kInvalidArgument));
    EXPECT_THAT(tree.Kill(path, absl::InfiniteFuture()),
                StatusIs(absl::StatusCode::kInvalidArgument));
    EXPECT_THAT(tree.Processes(path),
                StatusIs(absl::StatusCode::kInvalidArgument));
  }
}

TEST_F(CgroupTreeTest, NewCpusetsInheritFromAbove) {
  std::filesystem::create_directories(dir_ / "cs/a");
  for (const char* file : {"cpuset.cpus", "cpuset.mems"}) {
    Write(absl::StrCat("cs/", file), "0-3\n");
    Write(absl::StrCat("cs/a/", file), "\n");
    Write(absl::StrCat("cs/a/b/", file), "");
  }
  Write("cs/a/b/cpuset.mems", "1\n");
  const auto tree =
      CgroupTree::Detect(Line("/", dir_ / "cs", "cgroup", "rw,cpuset"));
  ASSERT_THAT(tree->Create("/a/b"), IsOk());
  EXPECT_EQ(Text(dir_ / "cs/a/cpuset.cpus").substr(0, 3), "0-3");
  EXPECT_EQ(Text(dir_ / "cs/a/b/cpuset.cpus").substr(0, 3), "0-3");
  EXPECT_EQ(Text(dir_ / "cs/a/b/cpuset.mems"), "1\n");
}

TEST_F(CgroupTreeTest, ControllersAreEnabledAboveOnV2) {
  Write("v2/cgroup.controllers", "cpu memory rdma\n");
  Write("v2/cgroup.subtree_control", "cpu\n");
  const auto tree = CgroupTree::Detect(Line("/", dir_ / "v2", "cgroup2", "rw"));
  ASSERT_THAT(tree->Create("/a"), IsOk());
  // One write for the one that was missing and is ours to enable.
  EXPECT_EQ(Text(dir_ / "v2/cgroup.subtree_control").substr(0, 7), "+memory");
}

TEST_F(CgroupTreeTest, ProcessesAreTheUnionOfAllBelow) {
  const CgroupTree tree = V1();
  Write("cpu/a/cgroup.procs", "10\n11\n");
  Write("pids/a/cgroup.procs", "0\nrubbish\n");
  Write("pids/a/b/cgroup.procs", "12\n10\n");
  EXPECT_THAT(tree.Processes("/a"), IsOkAndHolds(ElementsAre(10, 11, 12)));
  EXPECT_THAT(tree.Processes("/absent"), IsOkAndHolds(IsEmpty()));
}

TEST_F(CgroupTreeTest, NeverKillsTheDaemonItself) {
  const CgroupTree tree = V1();
  Write("cpu/a/cgroup.procs", absl::StrCat(getpid(), "\n"));
  EXPECT_THAT(tree.Kill("/a", absl::Now() + absl::Seconds(5)),
              StatusIs(absl::StatusCode::kFailedPrecondition));
}

TEST_F(CgroupTreeTest, SaysWhatItCannotKillInTime) {
  const CgroupTree tree = V1();
  // No such process can exist (PID_MAX_LIMIT is 2^22), and it stays listed.
  Write("cpu/a/cgroup.procs", "99999999\n");
  EXPECT_THAT(tree.Kill("/a", absl::Now()),
              StatusIs(absl::StatusCode::kDeadlineExceeded,
                       ::testing::HasSubstr("99999999")));
  EXPECT_THAT(tree.Kill("/absent", absl::Now()), IsOk());
}

}  // namespace
}  // namespace quoll::runtime
