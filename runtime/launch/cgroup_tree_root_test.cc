// SPDX-License-Identifier: Apache-2.0
// On this machine's own cgroups, below a path of the test's own.
#include "runtime/launch/cgroup_tree.h"

#include <unistd.h>

#include <string>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"

#include "os/files.h"
#include "os/process.h"
#include "os/random_id.h"
#include "tests/support/status_matchers.h"

namespace quoll::runtime {
namespace {

using quoll::testing::IsOk;

class CgroupTreeRootTest : public ::testing::Test {
 protected:
  void SetUp() override {
    if (geteuid() != 0) {
      GTEST_SKIP() << "needs root";
    }
    const auto text = os::ReadFile("/proc/self/mountinfo");
    ASSERT_THAT(text, IsOk());
    auto tree = CgroupTree::Detect(*text);
    ASSERT_THAT(tree, IsOk());
    tree_ = *std::move(tree);
  }
  void TearDown() override {
    if (geteuid() == 0) {
      EXPECT_THAT(tree_.Kill(path_, Soon()), IsOk());
      EXPECT_THAT(tree_.Remove(path_, Soon()), IsOk());
      EXPECT_FALSE(tree_.Exists(path_));
    }
  }
  static absl::Time Soon() { return absl::Now() + absl::Seconds(20); }
  os::Pidfd Shell(const std::string& script, const std::string& path) {
    os::SpawnRequest request;
    request.argv = {"/bin/sh", "-c", script};
    request.env = {"PATH=/usr/bin:/bin"};
    request.cgroup_procs_files = tree_.ProcsFiles(path);
    request.new_session = true;
    auto child = os::Spawn(request);
    EXPECT_THAT(child, IsOk());
    return *std::move(child);
  }

  CgroupTree tree_ =
      *CgroupTree::Detect("1 1 0:1 / /nowhere rw - cgroup cgroup rw,memory\n");
  const std::string path_ = "/quoll-test-" + os::RandomHexId(6);
};

TEST_F(CgroupTreeRootTest, KillsWhatKeepsForking) {
  ASSERT_THAT(tree_.Create(path_ + "/pod/c"), IsOk());
  // Forks until it is killed; bounded so that a bug here does no harm.
  const os::Pidfd child =
      Shell("i=0; while [ $i -lt 2000 ]; do sleep 300 & i=$((i+1)); done; wait",
            path_ + "/pod/c");
  absl::StatusOr<std::vector<pid_t>> pids;
  const absl::Time limit = Soon();
  do {
    pids = tree_.Processes(path_);
    ASSERT_THAT(pids, IsOk());
  } while (pids->size() < 20 && absl::Now() < limit);
  ASSERT_GE(pids->size(), 20u);

  EXPECT_THAT(tree_.Kill(path_, Soon()), IsOk());
  EXPECT_THAT(tree_.Processes(path_),
              quoll::testing::IsOkAndHolds(::testing::IsEmpty()));
  EXPECT_THAT(child.AwaitExit(Soon()), IsOk());
  EXPECT_EQ(child.Reap()->signal, SIGKILL);
}

TEST_F(CgroupTreeRootTest, KillsAPausedContainer) {
  const std::string path = path_ + "/c";
  ASSERT_THAT(tree_.Create(path), IsOk());
  const os::Pidfd child = Shell("exec sleep 300", path);
  const std::string v1 = "/sys/fs/cgroup/freezer" + path + "/freezer.state";
  const std::string v2 = "/sys/fs/cgroup" + path + "/cgroup.freeze";
  ASSERT_THAT(tree_.is_v2() ? os::WriteControlFile(v2, "1")
                            : os::WriteControlFile(v1, "FROZEN"),
              IsOk());
  EXPECT_THAT(tree_.Kill(path_, Soon()), IsOk());
  EXPECT_THAT(child.AwaitExit(Soon()), IsOk());
  EXPECT_EQ(child.Reap()->signal, SIGKILL);
}

TEST_F(CgroupTreeRootTest, RemoveSaysThatItIsBusy) {
  ASSERT_THAT(tree_.Create(path_), IsOk());
  const os::Pidfd child = Shell("exec sleep 300", path_);
  EXPECT_THAT(tree_.Remove(path_, absl::Now()),
              quoll::testing::StatusIs(absl::StatusCode::kDeadlineExceeded));
  EXPECT_THAT(child.Signal(SIGKILL), IsOk());
  EXPECT_THAT(child.AwaitExit(Soon()), IsOk());
  EXPECT_THAT(child.Reap(), IsOk());
}

}  // namespace
}  // namespace quoll::runtime
