// SPDX-License-Identifier: Apache-2.0
#include "cri/config.h"

#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "cri/config_schema.h"
#include "os/files.h"
#include "tests/support/status_matchers.h"

namespace quoll::cri {
namespace {

using ::quoll::testing::IsOk;
using ::quoll::testing::IsOkAndHolds;
using ::quoll::testing::StatusIs;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::StartsWith;

TEST(ConfigTest, EmptyTextIsTheDefaults) {
  EXPECT_THAT(ParseConfig("", "quoll.toml"), IsOkAndHolds(Config()));
}

TEST(ConfigTest, DumpOfDefaultsIsReadBackAsDefaults) {
  EXPECT_THAT(ParseConfig(DumpConfig({}, DumpStyle::kValues), "dump"),
              IsOkAndHolds(Config()));
  EXPECT_THAT(ParseConfig(DumpConfig({}, DumpStyle::kCommentedOut), "dump"),
              IsOkAndHolds(Config()));
}

TEST(ConfigTest, DumpOfEverythingChangedIsReadBackEqual) {
  Config config;
  config.state_dir = "/s \"quoted\\\"";
  config.run_dir = "/r\ttab";
  config.socket = "/x.sock";
  config.libexec_dir = "/l";
  config.log = {"debug", "json"};
  config.runtime.default_handler = "kata-1";
  config.runtime.missing_host_path = "error";
  config.runtime.never_create_host_paths = {"/mnt/a", "/mnt/b"};
  config.runtime.shm_size = {15000};
  config.runtime.host_path_timeout = absl::Milliseconds(1500);
  config.runtime.oci_timeout = absl::Seconds(90);
  config.runtime.default_sysctls = {{"net.ipv4.ping_group_range", "0 1"}};
  config.runtimes = {{"kata-1", {"/opt/k", {"--log", "a b"}}}};
  config.network = {"/c", {"/b1"}, absl::Seconds(5)};
  config.image = {{"reg:5000"}, 8, "/ca.pem", {"a", "b"}};
  EXPECT_THAT(ParseConfig(DumpConfig(config, DumpStyle::kValues), "dump"),
              IsOkAndHolds(config));
}

TEST(ConfigTest, PackagedFileIsTheCommentedDumpOfTheDefaults) {
  // It is made from the schema; after a change of a key write it anew with
  // `quolld config dump --default`.
  EXPECT_THAT(os::ReadFile(QUOLL_PACKAGED_CONFIG),
              IsOkAndHolds(DumpConfig({}, DumpStyle::kCommentedOut)));
}

TEST(ConfigTest, PackagedFileWithoutItsMarksIsTheDefaultsToo) {
  const auto packaged = os::ReadFile(QUOLL_PACKAGED_CONFIG);
  ASSERT_THAT(packaged, IsOk());
  // A key's mark has no blank behind it; a comment's has. (The longest of the
  // patterns that match is taken.)
  const std::string text =
      absl::StrReplaceAll(*packaged, {{"\n# ", "\n# "}, {"\n#", "\n"}});
  for (const ConfigKey& key : ConfigKeys()) {
    EXPECT_THAT(text, HasSubstr(absl::StrCat("\n", key.name, " = ")));
  }
  EXPECT_THAT(ParseConfig(text, "packaged"), IsOkAndHolds(Config()));
}

TEST(ConfigTest, HandlersInTheFileReplaceTheDefaultOnes) {
  const auto config = ParseConfig(
      "[runtimes.runc]\nprogram = \"/opt/runc\"\nargs = [\"--debug\"]\n",
      "quoll.toml");
  ASSERT_THAT(config, IsOk());
  EXPECT_EQ(config->runtimes.size(), 1u);
  EXPECT_THAT(config->runtimes.at("runc").args, ElementsAre("--debug"));
}

TEST(ConfigTest, SizesAreTakenInBytesAndInUnits) {
  for (const auto& [text, bytes] :
       {std::pair<std::string, int64_t>{"8192", 8192},
        {"\"64MiB\"", int64_t{64} << 20},
        {"\"64Mi\"", int64_t{64} << 20},
        {"\"1GiB\"", int64_t{1} << 30},
        {"\"8192\"", 8192}}) {
    const auto config =
        ParseConfig(absl::StrCat("[runtime]\nshm_size = ", text, "\n"), "f");
    ASSERT_THAT(config, IsOk()) << text;
    EXPECT_EQ(config->runtime.shm_size.bytes, bytes) << text;
  }
}

struct BadCase {
  std::string text;
  std::string message;  // all after "f:"
};

TEST(ConfigTest, ErrorsSayWhereAndWhat) {
  const BadCase cases[] = {
      {"state_dri = \"/x\"\n",
       "1:1: unknown key \"state_dri\"; did you mean \"state_dir\"?"},
      {"[log]\nlevel = \"info\"\nformt = \"json\"\n",
       "3:1: unknown key \"log.formt\"; did you mean \"log.format\"?"},
      {"[netwrok]\n",
       "1:2: unknown key \"netwrok\"; did you mean \"network\"?"},
      {"[log]\ncompletely_else = 1\n",
       "2:1: unknown key \"log.completely_else\"; known here: level, format"},
      {"[log]\nlevel = 3\n", "2:9: log.level must be a string"},
      {"[log]\nlevel = \"loud\"\n", "2:9: log.level: \"loud\" is none of"},
      {"log = 1\n", "1:7: log must be a table"},
      {"state_dir = \"x\"\n", "1:13: state_dir: \"x\" must be an absolute"},
      {"state_dir = \"/a/../b\"\n", "1:13: state_dir:"},
      {"[cgroup]\ndriver = \"systemd\"\n",
       "2:10: cgroup.driver: the systemd driver is not built yet"},
      {"[runtime]\nshm_size = \"64MB\"\n", "2:12: runtime.shm_size must be"},
      {"[runtime]\nshm_size = \"9999999999GiB\"\n", "2:12: runtime.shm_size"},
      {"[runtime]\nshm_size = 1\n", "2:12: runtime.shm_size: 1 bytes must"},
      {"[runtime]\noci_timeout = 60\n", "2:15: runtime.oci_timeout must be"},
      {"[runtime]\noci_timeout = \"-1s\"\n", "2:15: runtime.oci_timeout: -1s"},
      {"[runtime]\ndefault_handler = \"kata\"\n",
       " runtime.default_handler \"kata\" has no table [runtimes.kata]"},
      {"[runtime]\nnever_create_host_paths = [\"/a\", 2]\n",
       "2:34: each element of runtime.never_create_host_paths must be a "
       "string"},
      {"[runtimes.Runc]\nprogram = \"runc\"\n", "1:11: \"Runc\" is no name"},
      {"[runtimes.\"a/b\"]\nprogram = \"runc\"\n", "1:11: \"a/b\" is no name"},
      {"[runtimes.runc]\n", "1:1: runtimes.runc.program is missing"},
      {"[runtimes.runc]\nprogram = \"bin/runc\"\n",
       "2:11: runtimes.runc.program: \"bin/runc\" must be an absolute"},
      {"[image]\nparallel_layers = 0\n", "2:19: image.parallel_layers: 0 must"},
      {"[image]\nplain_http = [\"http://x\"]\n", "2:14: image.plain_http:"},
      {"[image]\npinned = [\"Nginx\"]\n", "2:10: image.pinned:"},
      {"[image]\npinned = [\"a@sha256:" + std::string(64, 'a') + "\"]\n",
       "2:10: image.pinned: \"a@sha256:"},
      {"state_dir = \"/q\"\nrun_dir = \"/q/\"\n",
       " state_dir and run_dir are both \"/q/\""},
      {"[image\n", "1:7: "},
      {"a = 1\na = 2\n", "2:5: "},
  };
  for (const BadCase& bad : cases) {
    EXPECT_THAT(ParseConfig(bad.text, "f"),
                StatusIs(absl::StatusCode::kInvalidArgument,
                         StartsWith("f:" + bad.message)))
        << bad.text;
  }
}

TEST(ConfigTest, FileThatIsNotThereIsTheDefaultsOnlyWhenOptional) {
  EXPECT_THAT(LoadConfig("/nonexistent/quoll.toml", true),
              IsOkAndHolds(Config()));
  EXPECT_THAT(LoadConfig("/nonexistent/quoll.toml", false),
              StatusIs(absl::StatusCode::kNotFound,
                       HasSubstr("/nonexistent/quoll.toml")));
}

TEST(ConfigTest, JsonNamesEveryKey) {
  EXPECT_THAT(
      ConfigJson({}),
      AllOf(HasSubstr("\"state_dir\": \"/var/lib/quoll\""),
            HasSubstr("\"shm_size\": \"64MiB\""), HasSubstr("\"crun\"")));
}

TEST(ConfigTest, SocketFollowsTheRunDirectory) {
  Config config;
  config.run_dir = "/r";
  EXPECT_EQ(config.SocketPath(), "/r/quoll.sock");
  config.socket = "/s";
  EXPECT_EQ(config.SocketPath(), "/s");
}

}  // namespace
}  // namespace quoll::cri
