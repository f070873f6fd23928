// SPDX-License-Identifier: Apache-2.0
#include "ctl/command_words.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace quoll::ctl {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using Words = std::vector<std::string>;

class CommandWordsTest : public ::testing::Test {
 protected:
  CommandWordsTest() {
    app_.add_option("-o,--output", value_);
    for (const char* name : {"exec", "list"}) {
      CLI::App* command = app_.add_subcommand(name);
      command->add_option("OPERAND", value_);
      command->add_option("-t,--timeout", value_);
      command->add_flag("-q,--quiet", flag_);
    }
    app_.get_subcommand("exec")->prefix_command();
  }

  // What is taken off; the rest is in rest_.
  Words Take(const Words& args) {
    rest_ = args;
    return TakeCommandWords(app_, rest_);
  }

  CLI::App app_;
  std::string value_;
  bool flag_ = false;
  Words rest_;
};

TEST_F(CommandWordsTest, TakesWhatFollowsTheOperand) {
  EXPECT_THAT(Take({"exec", "c", "ls", "-la", "--", "[a,b]", "-o", ""}),
              ElementsAre("ls", "-la", "--", "[a,b]", "-o", ""));
  EXPECT_THAT(rest_, ElementsAre("exec", "c"));
}

TEST_F(CommandWordsTest, OneDoubleDashMayIntroduceIt) {
  EXPECT_THAT(Take({"exec", "c", "--", "-x"}), ElementsAre("-x"));
  EXPECT_THAT(rest_, ElementsAre("exec", "c"));
  EXPECT_THAT(Take({"exec", "c", "--", "--"}), ElementsAre("--"));
  EXPECT_THAT(Take({"exec", "c", "--"}), IsEmpty());
  EXPECT_THAT(rest_, ElementsAre("exec", "c"));
}

TEST_F(CommandWordsTest, ValuesOfOptionsAreNoOperands) {
  EXPECT_THAT(Take({"-o", "json", "exec", "-t", "5", "-q", "c", "ls"}),
              ElementsAre("ls"));
  EXPECT_THAT(rest_, ElementsAre("-o", "json", "exec", "-t", "5", "-q", "c"));
  EXPECT_THAT(Take({"--output=json", "exec", "--timeout=5", "-t5", "c", "ls"}),
              ElementsAre("ls"));
  EXPECT_THAT(Take({"exec", "--timeout", "exec", "c", "exec"}),
              ElementsAre("exec"));
}

TEST_F(CommandWordsTest, LeavesOtherCommandsAlone) {
  const Words line = {"list", "a", "exec", "-q"};
  EXPECT_THAT(Take(line), IsEmpty());
  EXPECT_EQ(rest_, line);
}

TEST_F(CommandWordsTest, BearsALineThatIsCutOff) {
  for (const Words& line :
       {Words{}, Words{"exec"}, Words{"exec", "-t"}, Words{"exec", "--"},
        Words{"-o"}, Words{"--"}, Words{"nosuch", "c", "x"}, Words{"-"},
        Words{"exec", "--nosuch"}, Words{"exec", "c"}}) {
    EXPECT_THAT(Take(line), IsEmpty());
    EXPECT_EQ(rest_, line);
  }
}

}  // namespace
}  // namespace quoll::ctl
