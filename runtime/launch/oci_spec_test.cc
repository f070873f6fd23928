// SPDX-License-Identifier: Apache-2.0
#include "runtime/launch/oci_spec.h"

#include "runtime/launch/fake_spec_input.h"
#include "tests/support/status_matchers.h"

namespace quoll::runtime {
namespace {

using nlohmann::json;
using quoll::testing::IsOk;
using quoll::testing::StatusIs;
using ::testing::Contains;
using ::testing::HasSubstr;
using ::testing::Not;

constexpr auto kInvalid = absl::StatusCode::kInvalidArgument;

void Fill(google::protobuf::RepeatedPtrField<std::string>* field,
          const std::vector<std::string>& values) {
  field->Assign(values.begin(), values.end());
}

std::vector<std::string> Env(const json& spec) {
  return spec["process"]["env"].get<std::vector<std::string>>();
}

TEST(OciSpecTest, CommandAndArgsReplaceAsKubernetesSays) {
  struct Case {
    std::vector<std::string> entrypoint, cmd, command, args, want;
  };
  for (const Case& c :
       std::vector<Case>{{{"e"}, {"c"}, {}, {}, {"e", "c"}},
                         {{"e"}, {"c"}, {}, {"a"}, {"e", "a"}},
                         {{"e"}, {"c"}, {"x"}, {}, {"x"}},
                         {{"e"}, {"c"}, {"x"}, {"a"}, {"x", "a"}},
                         {{}, {"c", "d"}, {}, {}, {"c", "d"}}}) {
    FakeSpecInput fake;
    Fill(fake.spec().mutable_image_config()->mutable_entrypoint(),
         c.entrypoint);
    Fill(fake.spec().mutable_image_config()->mutable_command(), c.cmd);
    Fill(fake.spec().mutable_command(), c.command);
    Fill(fake.spec().mutable_args(), c.args);
    const auto spec = fake.Build();
    ASSERT_THAT(spec, IsOk());
    EXPECT_EQ((*spec)["process"]["args"], json(c.want));
  }
}

TEST(OciSpecTest, NothingToRunIsAnError) {
  FakeSpecInput fake;
  fake.spec().clear_command();
  EXPECT_THAT(fake.Build(), StatusIs(kInvalid, HasSubstr("set command")));
}

TEST(OciSpecTest, OneExtensionMayReplaceTheFirstProcess) {
  FakeSpecInput fake;
  fake.patches.resize(2);
  fake.patches[0].init_argv = {"/sbin/init"};
  EXPECT_EQ((*fake.Build())["process"]["args"], json({"/sbin/init"}));
  fake.patches[1].init_argv = {"/sbin/other"};
  EXPECT_THAT(fake.Build(), StatusIs(kInvalid));
}

TEST(OciSpecTest, LaterVariablesWin) {
  FakeSpecInput fake;
  fake.spec().mutable_image_config()->add_env("A=image");
  fake.spec().mutable_image_config()->add_env("HOSTNAME=image");
  fake.spec().mutable_image_config()->add_env("E=a=b");
  auto* variable = fake.spec().add_env();
  variable->set_name("A");
  variable->set_value("gr\xC3\xBC\xC3\x9F");
  fake.patches.resize(1);
  fake.patches[0].env = {{"P", "1"}};
  const auto spec = fake.Build();
  ASSERT_THAT(spec, IsOk());
  EXPECT_THAT(Env(*spec), Contains("A=gr\xC3\xBC\xC3\x9F"));
  EXPECT_THAT(Env(*spec), Not(Contains("A=image")));
  EXPECT_THAT(Env(*spec), Contains("HOSTNAME=web-0"));
  EXPECT_THAT(Env(*spec), Contains("E=a=b"));
  EXPECT_THAT(Env(*spec), Contains("P=1"));
  EXPECT_THAT(Env(*spec), Contains(HasSubstr("PATH=/usr/local/sbin")));
}

TEST(OciSpecTest, VariablesThatNoJsonCanCarryAreNamed) {
  for (const std::string& value :
       {std::string("\xff"), std::string("\xC0\x80"), std::string("a\0b", 3),
        std::string("\xED\xA0\x80"), std::string("\xE2\x82")}) {
    FakeSpecInput fake;
    auto* variable = fake.spec().add_env();
    variable->set_name("TOKEN");
    variable->set_value(value);
    EXPECT_THAT(fake.Build(), StatusIs(kInvalid, HasSubstr("TOKEN")));
  }
  FakeSpecInput fake;
  fake.spec().mutable_image_config()->add_env("NOEQUALS");
  EXPECT_THAT(fake.Build(), StatusIs(kInvalid, HasSubstr("NOEQUALS")));
}

TEST(OciSpecTest, TerminalBringsTerm) {
  FakeSpecInput fake;
  fake.spec().set_tty(true);
  const auto spec = fake.Build();
  EXPECT_EQ((*spec)["process"]["terminal"], true);
  EXPECT_THAT(Env(*spec), Contains("TERM=xterm"));
}

TEST(OciSpecTest, WorkingDirectory) {
  FakeSpecInput fake;
  EXPECT_EQ((*fake.Build())["process"]["cwd"], "/");
  fake.spec().mutable_image_config()->set_working_dir("app");
  EXPECT_EQ((*fake.Build())["process"]["cwd"], "/app");
  fake.spec().set_working_dir("/w");
  EXPECT_EQ((*fake.Build())["process"]["cwd"], "/w");
  fake.spec().set_working_dir("w");
  EXPECT_THAT(fake.Build(), StatusIs(kInvalid, HasSubstr("working_dir")));
}

TEST(OciSpecTest, UserAndOomScore) {
  FakeSpecInput fake;
  fake.container.mutable_effective_user()->set_uid(7);
  fake.container.mutable_effective_user()->set_gid(8);
  fake.container.mutable_effective_user()->add_supplemental_groups(9);
  fake.node.min_oom_score_adj = -5;
  fake.spec().mutable_resources()->set_oom_score_adj(-998);
  const auto spec = fake.Build();
  EXPECT_EQ((*spec)["process"]["user"],
            json({{"uid", 7}, {"gid", 8}, {"additionalGids", {9}}}));
  EXPECT_EQ((*spec)["process"]["oomScoreAdj"], -5);
}

TEST(OciSpecTest, CapabilitiesHaveNothingInheritable) {
  FakeSpecInput fake;
  fake.security().add_add_capabilities("net_admin");
  const json caps = (*fake.Build())["process"]["capabilities"];
  EXPECT_THAT(caps["bounding"], Contains("CAP_NET_ADMIN"));
  EXPECT_EQ(caps["effective"], caps["bounding"]);
  EXPECT_EQ(caps["permitted"], caps["bounding"]);
  EXPECT_TRUE(caps["inheritable"].empty());
  EXPECT_TRUE(caps["ambient"].empty());
}

TEST(OciSpecTest, PrivilegedNeedsAPrivilegedSandbox) {
  FakeSpecInput fake;
  fake.security().set_privileged(true);
  EXPECT_THAT(fake.Build(), StatusIs(kInvalid, HasSubstr("sandbox")));
}

TEST(OciSpecTest, PrivilegedHasNoWalls) {
  FakeSpecInput fake;
  fake.Privilege();
  fake.security().add_masked_paths("/proc/kcore");
  fake.security().mutable_seccomp()->set_kind(
      state::v1::SecurityProfile::RUNTIME_DEFAULT);
  const auto spec = fake.Build();
  ASSERT_THAT(spec, IsOk());
  EXPECT_FALSE((*spec)["linux"].contains("maskedPaths"));
  EXPECT_FALSE((*spec)["linux"].contains("seccomp"));
  EXPECT_EQ((*spec)["linux"]["resources"]["devices"],
            json::parse(R"([{"allow":true,"access":"rwm"}])"));
  EXPECT_EQ((*spec)["process"]["capabilities"]["bounding"],
            json(fake.node.capabilities));
}

TEST(OciSpecTest, SeccompProfiles) {
  FakeSpecInput fake;
  EXPECT_FALSE((*fake.Build())["linux"].contains("seccomp"));
  auto* seccomp = fake.security().mutable_seccomp();
  seccomp->set_kind(state::v1::SecurityProfile::RUNTIME_DEFAULT);
  EXPECT_TRUE((*fake.Build())["linux"].contains("seccomp"));
  seccomp->set_kind(state::v1::SecurityProfile::LOCALHOST);
  seccomp->set_localhost_ref("/no/such/profile");
  EXPECT_THAT(fake.Build(), StatusIs(kInvalid, HasSubstr("/no/such/profile")));
  fake.node.seccomp = false;
  EXPECT_THAT(fake.Build(), StatusIs(absl::StatusCode::kFailedPrecondition));
}

TEST(OciSpecTest, AppArmorOnlyWhereItIs) {
  FakeSpecInput fake;
  auto* profile = fake.security().mutable_apparmor();
  profile->set_kind(state::v1::SecurityProfile::RUNTIME_DEFAULT);
  EXPECT_FALSE((*fake.Build())["process"].contains("apparmorProfile"));
  profile->set_kind(state::v1::SecurityProfile::LOCALHOST);
  profile->set_localhost_ref("tight");
  EXPECT_THAT(fake.Build(), StatusIs(kInvalid, HasSubstr("tight")));
  fake.node.apparmor = true;
  EXPECT_EQ((*fake.Build())["process"]["apparmorProfile"], "tight");
}

TEST(OciSpecTest, SeLinuxLabelsOnlyWhereItIs) {
  FakeSpecInput fake;
  fake.security().mutable_selinux()->set_level("s0:c1,c2");
  EXPECT_FALSE((*fake.Build())["process"].contains("selinuxLabel"));
  fake.node.selinux = true;
  const json spec = *fake.Build();
  EXPECT_EQ(spec["process"]["selinuxLabel"],
            "system_u:system_r:container_t:s0:c1,c2");
  EXPECT_EQ(spec["linux"]["mountLabel"],
            "system_u:object_r:container_file_t:s0:c1,c2");
}

// Type -> path ("" for a new one).
std::map<std::string, std::string> Namespaces(const json& spec) {
  std::map<std::string, std::string> found;
  for (const json& entry : spec["linux"]["namespaces"]) {
    found[entry["type"]] = entry.value("path", "");
  }
  return found;
}

TEST(OciSpecTest, NamespacesOfThePod) {
  FakeSpecInput fake;
  std::map<std::string, std::string> want = {{"mount", ""},
                                             {"pid", ""},
                                             {"network", "/run/ns/net"},
                                             {"uts", "/run/ns/uts"},
                                             {"ipc", "/run/ns/ipc"}};
  EXPECT_EQ(Namespaces(*fake.Build()), want);
  fake.node.cgroup_v2 = true;
  want["cgroup"] = "";
  EXPECT_EQ(Namespaces(*fake.Build()), want);
}

TEST(OciSpecTest, NamespacesOfTheNode) {
  FakeSpecInput fake;
  auto* pod = fake.sandbox.mutable_spec()->mutable_namespaces();
  pod->set_network(state::v1::NAMESPACE_NODE);
  pod->set_ipc(state::v1::NAMESPACE_NODE);
  fake.spec().mutable_namespaces()->set_pid(state::v1::NAMESPACE_NODE);
  EXPECT_EQ(Namespaces(*fake.Build()),
            (std::map<std::string, std::string>{{"mount", ""}}));
}

TEST(OciSpecTest, SharedPidNamespace) {
  FakeSpecInput fake;
  fake.spec().mutable_namespaces()->set_pid(state::v1::NAMESPACE_POD);
  EXPECT_THAT(fake.Build(), StatusIs(absl::StatusCode::kInternal));
  fake.pid_path = "/run/ns/pid";
  EXPECT_EQ(Namespaces(*fake.Build())["pid"], "/run/ns/pid");
  fake.spec().mutable_namespaces()->set_pid(state::v1::NAMESPACE_TARGET);
  EXPECT_EQ(Namespaces(*fake.Build())["pid"], "/run/ns/pid");
}

TEST(OciSpecTest, RequestedDevices) {
  FakeSpecInput fake;
  SpecInput::Device device{"/dev/x", {}, "rw"};
  device.host.resolved = "/elsewhere/x";
  device.host.is_block_device = true;
  device.host.device_major = 8;
  device.host.device_minor = 1;
  fake.devices = {device};
  const json linux_part = (*fake.Build())["linux"];
  EXPECT_EQ(linux_part["devices"][0]["path"], "/dev/x");
  EXPECT_EQ(linux_part["devices"][0]["type"], "b");
  EXPECT_EQ(linux_part["resources"]["devices"],
            json::parse(R"([{"allow":false,"access":"rwm"},
              {"allow":true,"type":"b","major":8,"minor":1,"access":"rw"}])"));
  fake.devices[0].permissions = "rx";
  EXPECT_THAT(fake.Build(), StatusIs(kInvalid, HasSubstr("/dev/x")));
  fake.devices[0] = {"/dev/x", {}, "r"};
  EXPECT_THAT(fake.Build(), StatusIs(kInvalid, HasSubstr("not a device")));
}

TEST(OciResourcesTest, OnlyWhatIsSet) {
  EXPECT_EQ(BuildOciResources({}, {}), "{}");
  Resources resources;
  resources.set_cpu_quota_us(-1);
  resources.set_cpu_shares(1);
  resources.set_memory_limit_bytes(1 << 20);
  NodeFeatures node;
  EXPECT_EQ(json::parse(BuildOciResources(resources, node)),
            json::parse(R"({"cpu":{"quota":-1,"shares":2},
                            "memory":{"limit":1048576}})"));
  node.swap_accounting = true;
  EXPECT_EQ(json::parse(BuildOciResources(resources, node))["memory"]["swap"],
            1048576);
}

TEST(OciResourcesTest, UnifiedNeedsV2) {
  Resources resources;
  (*resources.mutable_unified())["memory.high"] = "1M";
  NodeFeatures node;
  EXPECT_THAT(CheckResources(resources, node), StatusIs(kInvalid));
  node.cgroup_v2 = true;
  EXPECT_THAT(CheckResources(resources, node), IsOk());
  EXPECT_EQ(
      json::parse(BuildOciResources(resources, node))["unified"]["memory.high"],
      "1M");
  (*resources.mutable_unified())["../x"] = "1";
  EXPECT_THAT(CheckResources(resources, node), StatusIs(kInvalid));
}

TEST(OciResourcesTest, HugepagesNeedTheirControllerOnlyWhenLimited) {
  Resources resources;
  auto* huge = resources.add_hugepage_limits();
  huge->set_page_size("2MB");
  EXPECT_THAT(CheckResources(resources, {}), IsOk());
  huge->set_limit_bytes(4096);
  EXPECT_THAT(CheckResources(resources, {}),
              StatusIs(absl::StatusCode::kFailedPrecondition));
}

TEST(OciResourcesTest, RefusesLimitsThatMakeNoSense) {
  Resources resources;
  resources.set_memory_limit_bytes(100);
  resources.set_memory_swap_limit_bytes(50);
  EXPECT_THAT(CheckResources(resources, {}), StatusIs(kInvalid));
  resources.Clear();
  resources.set_cpu_quota_us(-2);
  EXPECT_THAT(CheckResources(resources, {}), StatusIs(kInvalid));
}

TEST(ExecProcessTest, IsTheContainersOwnWithOtherArguments) {
  FakeSpecInput fake;
  fake.spec().set_working_dir("/w");
  const std::string config = *BuildOciSpec(fake.Input());
  const json process = json::parse(*BuildExecProcess(config, {"ls"}, true));
  json want = json::parse(config)["process"];
  want["args"] = {"ls"};
  want["terminal"] = true;
  want["env"].push_back("TERM=xterm");
  EXPECT_EQ(process, want);
}

TEST(ExecProcessTest, RefusesNoCommandAndDamage) {
  const std::string config = *BuildOciSpec(FakeSpecInput().Input());
  EXPECT_THAT(BuildExecProcess(config, {}, false), StatusIs(kInvalid));
  EXPECT_THAT(BuildExecProcess(config, {"\xff"}, false), StatusIs(kInvalid));
  for (const char* damaged : {"", "[]", "{}", "{\"process\":1}"}) {
    EXPECT_THAT(BuildExecProcess(damaged, {"ls"}, false),
                StatusIs(absl::StatusCode::kDataLoss));
  }
}

}  // namespace
}  // namespace quoll::runtime
