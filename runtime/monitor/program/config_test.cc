// SPDX-License-Identifier: Apache-2.0
#include "runtime/monitor/program/config.h"

#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace quoll::runtime::monitor {
namespace {

using ::testing::HasSubstr;
using ::testing::IsNull;

constexpr char kBase[] = "id=c1\nbundle=/b\nprogram=/bin/runc\nroot=/r\n";

const char* Parse(std::string* text, Config* config) {
  return ParseConfig(text->data(), text->size(), config);
}

TEST(ConfigTest, ReadsEveryKey) {
  std::string text = std::string(kBase) +
                     "arg=--systemd-cgroup\narg=a%0Ab%25\nlog_path=/log=1\n"
                     "tty=1\nstdin=0\nstdin_once=1\nexec_id=e\ninit_pid=42\n"
                     "init_start_time=9\nsub_cgroup=plain\n";
  Config config;
  ASSERT_THAT(Parse(&text, &config), IsNull());
  EXPECT_STREQ(config.container_id, "c1");
  ASSERT_EQ(config.arg_count, 2);
  EXPECT_STREQ(config.args[1], "a\nb%");
  EXPECT_STREQ(config.log_path, "/log=1");
  EXPECT_TRUE(config.tty);
  EXPECT_FALSE(config.stdin);
  EXPECT_TRUE(config.stdin_once);
  EXPECT_EQ(config.init_pid, 42u);
  EXPECT_EQ(config.sub_cgroup, SubCgroup::kPlain);
}

TEST(ConfigTest, RefusesWhatIsNotExact) {
  for (const std::string& extra :
       {std::string("nonsense"), std::string("no equals\n"),
        std::string("unknown=1\n"), std::string("tty=2\n"),
        std::string("tty=\n"), std::string("arg=%4\n"),
        std::string("arg=%zz\n"), std::string("arg=%00\n"),
        std::string("init_pid=-1\n"), std::string("init_pid=\n"),
        std::string("init_pid=99999999999999999999\n"),
        std::string("sub_cgroup=x\n"), std::string("a\0=b\n", 5)}) {
    std::string text = kBase + extra;
    Config config;
    EXPECT_NE(Parse(&text, &config), nullptr) << extra;
  }
}

TEST(ConfigTest, RefusesTooManyArguments) {
  std::string text = kBase;
  for (int i = 0; i <= Config::kMaxArgs; ++i) {
    text += "arg=x\n";
  }
  Config config;
  EXPECT_NE(Parse(&text, &config), nullptr);
}

TEST(ConfigTest, RefusesAMissingOrRelativePath) {
  std::string text = "id=c1\nbundle=b\nprogram=/bin/runc\nroot=/r\n";
  Config config;
  EXPECT_THAT(Parse(&text, &config), HasSubstr("required"));
}

}  // namespace
}  // namespace quoll::runtime::monitor
