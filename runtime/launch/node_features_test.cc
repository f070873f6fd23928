// SPDX-License-Identifier: Apache-2.0
#include <filesystem>
#include <fstream>

#include "runtime/launch/oci_spec.h"
#include "tests/support/status_matchers.h"
#include "tests/support/temp_dir.h"

namespace quoll::runtime {
namespace {

using ::testing::ElementsAre;

class NodeFeaturesTest : public ::testing::Test {
 protected:
  void Write(const std::string& name, const std::string& text) {
    const std::filesystem::path path = root_.path() + name;
    std::filesystem::create_directories(path.parent_path());
    std::ofstream(path) << text;
  }
  void WriteStatus(const std::string& effective) {
    Write("/proc/self/status", "Name:\tq\nCapEff:\t" + effective +
                                   "\nCapBnd:\t000001ffffffffff\n"
                                   "Seccomp:\t0\n");
  }
  quoll::testing::TempDir root_;
};

TEST_F(NodeFeaturesTest, AnEmptyNodeHasNothing) {
  const NodeFeatures node = DetectNode(root_.path());
  EXPECT_FALSE(node.cgroup_v2 || node.apparmor || node.selinux ||
               node.seccomp || node.hugetlb || node.swap_accounting);
  EXPECT_TRUE(node.capabilities.empty());
}

TEST_F(NodeFeaturesTest, CgroupV1) {
  Write("/proc/self/mountinfo",
        "1 0 0:1 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n"
        "2 0 0:2 / /sys/fs/cgroup/hugetlb rw - cgroup cgroup rw,hugetlb\n"
        "3 0 0:3 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n");
  NodeFeatures node = DetectNode(root_.path());
  EXPECT_FALSE(node.cgroup_v2);
  EXPECT_TRUE(node.hugetlb);
  EXPECT_FALSE(node.swap_accounting);
  Write("/sys/fs/cgroup/memory/memory.memsw.limit_in_bytes", "1");
  EXPECT_TRUE(DetectNode(root_.path()).swap_accounting);
}

TEST_F(NodeFeaturesTest, CgroupV2) {
  Write("/proc/self/mountinfo",
        "1 0 0:1 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n");
  Write("/proc/self/cgroup", "0::/\n");
  Write("/sys/fs/cgroup/cgroup.controllers", "cpu memory hugetlb\n");
  EXPECT_FALSE(DetectNode(root_.path()).swap_accounting);
  Write("/sys/fs/cgroup/system.slice/memory.swap.max", "max\n");
  const NodeFeatures node = DetectNode(root_.path());
  EXPECT_TRUE(node.cgroup_v2 && node.hugetlb && node.swap_accounting);
}

TEST_F(NodeFeaturesTest, SecurityModules) {
  Write("/sys/module/apparmor/parameters/enabled", "Y\n");
  Write("/sys/fs/selinux/enforce", "0");
  const NodeFeatures node = DetectNode(root_.path());
  EXPECT_TRUE(node.apparmor && node.selinux);
  Write("/sys/module/apparmor/parameters/enabled", "N\n");
  EXPECT_FALSE(DetectNode(root_.path()).apparmor);
}

TEST_F(NodeFeaturesTest, OomScoreCanGoDownOnlyWithSysResource) {
  Write("/proc/self/oom_score_adj", "-7\n");
  WriteStatus("0000000000000021");
  NodeFeatures node = DetectNode(root_.path());
  EXPECT_TRUE(node.seccomp);
  EXPECT_THAT(node.capabilities, ElementsAre("CAP_CHOWN", "CAP_KILL"));
  EXPECT_EQ(node.min_oom_score_adj, -7);
  WriteStatus("0000000001000000");
  EXPECT_EQ(DetectNode(root_.path()).min_oom_score_adj, -1000);
}

}  // namespace
}  // namespace quoll::runtime
