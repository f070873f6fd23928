// SPDX-License-Identifier: Apache-2.0
#include "runtime/launch/seccomp_profile.h"

#include <sys/stat.h>

#include <fstream>
#include <set>

#include "tests/support/status_matchers.h"
#include "tests/support/temp_dir.h"

namespace quoll::runtime {
namespace {

using nlohmann::json;
using quoll::testing::IsOk;
using quoll::testing::StatusIs;
using ::testing::HasSubstr;

// The rules that name a call.
std::vector<json> RulesOf(const json& profile, const std::string& name) {
  std::vector<json> found;
  for (const json& rule : profile["syscalls"]) {
    for (const json& listed : rule["names"]) {
      if (listed == name) {
        found.push_back(rule);
      }
    }
  }
  return found;
}

TEST(SeccompProfileTest, DeniesByDefaultAndAllowsWhatProgramsNeed) {
  const json profile = DefaultSeccompProfile({});
  EXPECT_EQ(profile["defaultAction"], "SCMP_ACT_ERRNO");
  for (const char* name : {"read", "execve", "futex", "exit_group", "mmap",
                           "epoll_wait", "accept4", "getrandom", "rseq"}) {
    EXPECT_EQ(RulesOf(profile, name).size(), 1u) << name;
  }
  for (const char* name :
       {"mount", "bpf", "setns", "unshare", "init_module", "io_uring_setup",
        "keyctl", "kexec_load", "reboot", "userfaultfd", "swapon"}) {
    EXPECT_TRUE(RulesOf(profile, name).empty()) << name;
  }
}

TEST(SeccompProfileTest, NamespacesNeedSysAdmin) {
  const json plain = DefaultSeccompProfile({"CAP_CHOWN"});
  ASSERT_EQ(RulesOf(plain, "clone").size(), 1u);
  EXPECT_EQ(RulesOf(plain, "clone")[0]["args"][0]["op"], "SCMP_CMP_MASKED_EQ");
  ASSERT_EQ(RulesOf(plain, "clone3").size(), 1u);
  EXPECT_EQ(RulesOf(plain, "clone3")[0]["errnoRet"], ENOSYS);

  const json admin = DefaultSeccompProfile({"CAP_SYS_ADMIN"});
  for (const char* name : {"clone", "clone3", "mount", "setns"}) {
    ASSERT_EQ(RulesOf(admin, name).size(), 1u) << name;
    EXPECT_FALSE(RulesOf(admin, name)[0].contains("args")) << name;
    EXPECT_EQ(RulesOf(admin, name)[0]["action"], "SCMP_ACT_ALLOW") << name;
  }
}

TEST(SeccompProfileTest, ListsNoCallTwiceAndNoEmptyRule) {
  for (const json& rule : DefaultSeccompProfile({})["syscalls"]) {
    std::set<std::string> seen;
    EXPECT_FALSE(rule["names"].empty());
    for (const std::string name : rule["names"]) {
      EXPECT_TRUE(seen.insert(name).second) << name;
    }
  }
}

class LoadSeccompProfileTest : public ::testing::Test {
 protected:
  absl::StatusOr<json> Load(const std::string& text) {
    std::ofstream(dir_ / "p.json") << text;
    return LoadSeccompProfile(dir_ / "p.json");
  }
  quoll::testing::TempDir dir_;
};

TEST_F(LoadSeccompProfileTest, KeepsTheProfileAsItIs) {
  const auto profile =
      Load(R"({"defaultAction":"SCMP_ACT_ALLOW","syscalls":[],"flags":["X"]})");
  ASSERT_THAT(profile, IsOk());
  EXPECT_EQ((*profile)["flags"][0], "X");
}

TEST_F(LoadSeccompProfileTest, RefusesWhatIsNoProfile) {
  for (const std::string& text : std::vector<std::string>{
           "", "[]", "{", "{}", R"({"defaultAction":3})",
           R"({"defaultAction":"allow"})",
           R"({"defaultAction":"SCMP_ACT_LOG","syscalls":{}})",
           std::string(1000000, '['), std::string((1 << 20) + 1, ' ')}) {
    EXPECT_THAT(Load(text), StatusIs(absl::StatusCode::kInvalidArgument,
                                     HasSubstr("p.json")))
        << text.substr(0, 40);
  }
}

TEST_F(LoadSeccompProfileTest, RefusesPathsThatAreNoFile) {
  ASSERT_EQ(::mkfifo((dir_ / "fifo").c_str(), 0600), 0);
  for (const std::string& path : std::vector<std::string>{
           "", "relative.json", dir_ / "absent", dir_.path(), dir_ / "fifo"}) {
    EXPECT_THAT(LoadSeccompProfile(path),
                StatusIs(absl::StatusCode::kInvalidArgument))
        << path;
  }
}

}  // namespace
}  // namespace quoll::runtime
