// SPDX-License-Identifier: Apache-2.0
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "google/protobuf/text_format.h"
#include "gtest/gtest.h"

#include "cri/fake_services.h"
#include "cri/record_json.h"
#include "cri/signals.h"
#include "cri/translate_container.h"
#include "cri/translate_linux.h"
#include "cri/translate_sandbox.h"
#include "cri/translate_status.h"
#include "nlohmann/json.hpp"
#include "tests/support/status_matchers.h"

// The tables between CRI and our own records. What a whole request becomes is
// tested with its RPC.
namespace quoll::cri {
namespace {

namespace criv1 = ::runtime::v1;

using ::google::protobuf::TextFormat;
using ::quoll::testing::IsOk;
using ::quoll::testing::IsOkAndHolds;
using ::quoll::testing::StatusIs;
using ::testing::HasSubstr;
using Profile = state::v1::SecurityProfile;

constexpr auto kBad = absl::StatusCode::kInvalidArgument;

TEST(SignalTest, EverySignalOfTheApiHasItsLinuxNumber) {
  int named = 0;
  for (int value = 0; value < criv1::Signal_ARRAYSIZE; ++value) {
    if (!criv1::Signal_IsValid(value)) {
      continue;
    }
    ++named;
    const auto signal = static_cast<criv1::Signal>(value);
    const absl::StatusOr<int> number = SignalNumber(signal);
    ASSERT_THAT(number, IsOk()) << criv1::Signal_Name(signal);
    // Two names may share a number; what comes back has the same one.
    EXPECT_THAT(SignalNumber(SignalFromNumber(*number)), IsOkAndHolds(*number))
        << criv1::Signal_Name(signal);
  }
  EXPECT_EQ(named, criv1::Signal_descriptor()->value_count());
  EXPECT_THAT(SignalNumber(criv1::SIGNAL_RUNTIME_DEFAULT), IsOkAndHolds(0));
  EXPECT_THAT(SignalNumber(criv1::SIGNAL_SIGTERM), IsOkAndHolds(15));
  EXPECT_THAT(SignalNumber(criv1::SIGNAL_SIGRTMIN), IsOkAndHolds(34));
  EXPECT_THAT(SignalNumber(criv1::SIGNAL_SIGRTMINPLUS3), IsOkAndHolds(37));
  EXPECT_THAT(SignalNumber(criv1::SIGNAL_SIGRTMAXMINUS1), IsOkAndHolds(63));
  EXPECT_THAT(SignalNumber(criv1::SIGNAL_SIGRTMAX), IsOkAndHolds(64));
}

TEST(SignalTest, UnknownOnes) {
  EXPECT_THAT(SignalNumber(static_cast<criv1::Signal>(1000)),
              StatusIs(kBad, HasSubstr("1000 is no signal")));
  EXPECT_THAT(SignalNumber(static_cast<criv1::Signal>(-1)), StatusIs(kBad));
  // An image's STOPSIGNAL may be any number.
  for (const int number : {0, -1, 32, 33, 65}) {
    EXPECT_EQ(SignalFromNumber(number), criv1::SIGNAL_RUNTIME_DEFAULT)
        << number;
  }
}

TEST(ResourcesTest, GoThereAndBack) {
  criv1::LinuxContainerResources given;
  ASSERT_TRUE(TextFormat::ParseFromString(
      R"pb(cpu_period: 100000
           cpu_quota: -1
           cpu_shares: 1024
           memory_limit_in_bytes: 5
           memory_swap_limit_in_bytes: -1
           oom_score_adj: -998
           cpuset_cpus: "0-1"
           cpuset_mems: "0"
           hugepage_limits { page_size: "2MB" limit: 6 }
           unified { key: "memory.high" value: "7" })pb",
      &given));
  const absl::StatusOr<state::v1::Resources> resources =
      ToResources(given, "f");
  ASSERT_THAT(resources, IsOk());
  criv1::LinuxContainerResources back;
  FromResources(*resources, &back);
  EXPECT_EQ(back.DebugString(), given.DebugString());
}

TEST(ResourcesTest, NumbersThatTheKernelHasNot) {
  for (const std::string field :
       {"cpu_period: -1", "cpu_quota: -2", "cpu_shares: -1",
        "memory_limit_in_bytes: -2", "memory_swap_limit_in_bytes: -2",
        "oom_score_adj: -1001", "oom_score_adj: 1001"}) {
    criv1::LinuxContainerResources given;
    ASSERT_TRUE(TextFormat::ParseFromString(field, &given));
    const std::string name = field.substr(0, field.find(':'));
    EXPECT_THAT(ToResources(given, "config.x"),
                StatusIs(kBad, HasSubstr("config.x." + name + " is ")));
  }
}

TEST(NamespacesTest, WhichModesEachKindHas) {
  struct Case {
    std::string options;
    bool sandbox_has_it;
    bool container_has_it;
  };
  const Case cases[] = {
      {"", true, true},
      {"network: NODE pid: NODE ipc: NODE", true, true},
      {"pid: CONTAINER", true, true},
      {"pid: TARGET target_id: \"c\"", false, true},
      {"pid: TARGET", false, false},
      {"network: CONTAINER", false, false},
      {"network: TARGET", false, false},
      {"ipc: CONTAINER", false, false},
      {"ipc: TARGET", false, false},
      {"pid: 9", false, false},
  };
  for (const Case& each : cases) {
    criv1::NamespaceOption options;
    ASSERT_TRUE(TextFormat::ParseFromString(each.options, &options));
    for (const bool container : {false, true}) {
      const absl::StatusOr<state::v1::Namespaces> namespaces =
          ToNamespaces(options, container, "f");
      if (container ? each.container_has_it : each.sandbox_has_it) {
        ASSERT_THAT(namespaces, IsOk()) << each.options;
        criv1::NamespaceOption back;
        FromNamespaces(*namespaces, &back);
        EXPECT_EQ(back.DebugString(), options.DebugString());
      } else {
        EXPECT_THAT(namespaces, StatusIs(kBad)) << each.options;
      }
    }
  }
}

TEST(NamespacesTest, UserNamespacesAreRefusedUnlessItIsTheHosts) {
  criv1::NamespaceOption options;
  options.mutable_userns_options()->set_mode(criv1::NODE);
  EXPECT_THAT(ToNamespaces(options, false, "f"), IsOk());
  options.mutable_userns_options()->set_mode(criv1::POD);
  EXPECT_THAT(ToNamespaces(options, false, "f"),
              StatusIs(absl::StatusCode::kUnimplemented,
                       HasSubstr("set hostUsers to true")));
}

TEST(ProfileTest, NewAndDeprecatedSpellings) {
  criv1::SecurityProfile profile;
  absl::StatusOr<Profile> out = ToProfile(profile, "f");
  ASSERT_THAT(out, IsOk());
  EXPECT_EQ(out->kind(), Profile::RUNTIME_DEFAULT);
  profile.set_profile_type(criv1::SecurityProfile::Unconfined);
  out = ToProfile(profile, "f");
  ASSERT_THAT(out, IsOk());
  EXPECT_EQ(out->kind(), Profile::UNCONFINED);
  profile.set_profile_type(criv1::SecurityProfile::Localhost);
  EXPECT_THAT(ToProfile(profile, "f"),
              StatusIs(kBad, HasSubstr("f.localhost_ref is empty")));
  profile.set_localhost_ref("mine");
  out = ToProfile(profile, "f");
  ASSERT_THAT(out, IsOk());
  EXPECT_EQ(out->kind(), Profile::LOCALHOST);
  EXPECT_EQ(out->localhost_ref(), "mine");

  for (const auto& [text, kind] :
       {std::pair<std::string, Profile::Kind>{"unconfined",
                                              Profile::UNCONFINED},
        {"runtime/default", Profile::RUNTIME_DEFAULT},
        {"docker/default", Profile::RUNTIME_DEFAULT},
        {"localhost//p.json", Profile::LOCALHOST}}) {
    out = ToProfile(text, "f");
    ASSERT_THAT(out, IsOk()) << text;
    EXPECT_EQ(out->kind(), kind) << text;
  }
  EXPECT_EQ(out->localhost_ref(), "/p.json");
  for (const std::string bad : {"Unconfined", "localhost/", "default", " "}) {
    EXPECT_THAT(ToProfile(bad, "f"), StatusIs(kBad, HasSubstr("is none of")))
        << bad;
  }
}

criv1::ContainerConfig Container(const std::string& security) {
  criv1::ContainerConfig config;
  config.mutable_metadata()->set_name("c");
  config.mutable_image()->set_image("i");
  EXPECT_TRUE(TextFormat::ParseFromString(
      security, config.mutable_linux()->mutable_security_context()));
  return config;
}

TEST(ContainerSpecTest, NewProfileFieldsWinOverDeprecatedOnes) {
  const auto spec = ToContainerSpec(Container(
      "seccomp { profile_type: Unconfined } seccomp_profile_path: "
      "\"runtime/default\" apparmor { profile_type: Localhost localhost_ref: "
      "\"new\" } apparmor_profile: \"localhost/old\""));
  ASSERT_THAT(spec, IsOk());
  EXPECT_EQ(spec->security().seccomp().kind(), Profile::UNCONFINED);
  EXPECT_EQ(spec->security().apparmor().localhost_ref(), "new");
}

TEST(ContainerSpecTest, DeprecatedProfilesCountAlone) {
  const auto spec =
      ToContainerSpec(Container("seccomp_profile_path: \"localhost//p.json\" "
                                "apparmor_profile: \"localhost/old\""));
  ASSERT_THAT(spec, IsOk());
  EXPECT_EQ(spec->security().seccomp().localhost_ref(), "/p.json");
  EXPECT_EQ(spec->security().apparmor().localhost_ref(), "old");
}

TEST(ContainerSpecTest, NothingAskedForStaysAbsent) {
  const auto spec = ToContainerSpec(Container(""));
  ASSERT_THAT(spec, IsOk());
  EXPECT_FALSE(spec->security().has_seccomp());
  EXPECT_FALSE(spec->security().has_apparmor());
  EXPECT_FALSE(spec->security().has_user());  // the image's USER counts
  EXPECT_EQ(spec->stop_signal(), 0);
  EXPECT_EQ(spec->user_image(), "i");
}

TEST(ContainerSpecTest, UserIsAskedForByAnyOfItsFields) {
  auto spec = ToContainerSpec(Container("run_as_user { value: 0 }"));
  ASSERT_THAT(spec, IsOk());
  EXPECT_EQ(spec->security().user().who_case(), state::v1::User::kUid);
  spec = ToContainerSpec(
      Container("run_as_username: \"www\" run_as_group { value: 0 }"));
  ASSERT_THAT(spec, IsOk());
  EXPECT_EQ(spec->security().user().name(), "www");
  EXPECT_TRUE(spec->security().user().has_gid());
  spec = ToContainerSpec(Container("supplemental_groups: 5"));
  ASSERT_THAT(spec, IsOk());
  EXPECT_EQ(spec->security().user().who_case(), state::v1::User::WHO_NOT_SET);
  spec = ToContainerSpec(Container("supplemental_groups_policy: Strict"));
  ASSERT_THAT(spec, IsOk());
  EXPECT_TRUE(spec->security().user().strict_supplemental_groups());
}

TEST(ContainerSpecTest, WindowsFieldsAreIgnored) {
  criv1::ContainerConfig config = Container("");
  config.mutable_windows()->mutable_resources()->set_cpu_count(5);
  EXPECT_THAT(ToContainerSpec(config), IsOk());
}

TEST(SandboxSpecTest, HostAddressesOfPorts) {
  const FakeBackends fake;
  criv1::PodSandboxConfig config;
  ASSERT_TRUE(TextFormat::ParseFromString(
      R"pb(metadata { name: "n" namespace: "s" uid: "u" }
           port_mappings { container_port: 80 host_port: 80 })pb",
      &config));
  for (const std::string good : {"", "127.0.0.1", "::", "fd00::1"}) {
    config.mutable_port_mappings(0)->set_host_ip(good);
    EXPECT_THAT(ToSandboxSpec(config, "", fake.facts), IsOk()) << good;
  }
  for (const std::string bad : {"localhost", "1.2.3", "1.2.3.4/8", " "}) {
    config.mutable_port_mappings(0)->set_host_ip(bad);
    EXPECT_THAT(ToSandboxSpec(config, "", fake.facts),
                StatusIs(kBad, HasSubstr("config.port_mappings[0].host_ip")))
        << bad;
  }
}

TEST(StateTest, PhasesAsCriShowsThem) {
  EXPECT_EQ(ToCriState(state::v1::SANDBOX_READY), criv1::SANDBOX_READY);
  for (const auto phase :
       {state::v1::SANDBOX_CREATING, state::v1::SANDBOX_STOPPING,
        state::v1::SANDBOX_STOPPED, state::v1::SANDBOX_REMOVING}) {
    EXPECT_EQ(ToCriState(phase), criv1::SANDBOX_NOTREADY) << phase;
  }
  EXPECT_EQ(ToCriState(state::v1::CONTAINER_CREATED), criv1::CONTAINER_CREATED);
  EXPECT_EQ(ToCriState(state::v1::CONTAINER_RUNNING), criv1::CONTAINER_RUNNING);
  EXPECT_EQ(ToCriState(state::v1::CONTAINER_EXITED), criv1::CONTAINER_EXITED);
  EXPECT_EQ(ToCriState(state::v1::CONTAINER_REMOVING), criv1::CONTAINER_EXITED);
  EXPECT_EQ(ToCriState(state::v1::CONTAINER_UNKNOWN), criv1::CONTAINER_UNKNOWN);
  EXPECT_EQ(ToCriState(static_cast<runtime::ContainerPhase>(77)),
            criv1::CONTAINER_UNKNOWN);
}

TEST(RequireFieldTest, NamesTheFieldAndWhy) {
  EXPECT_THAT(RequireField("x", "f", "why"), IsOk());
  EXPECT_THAT(RequireField("", "f", "why"), StatusIs(kBad, "f is empty: why"));
}

TEST(RecordJsonTest, ShowsARecordByItsFieldNames) {
  runtime::SandboxRecord record;
  record.set_id("abc");
  EXPECT_EQ(RecordJson(record)["id"], "abc");
  EXPECT_EQ(DumpJson({{"k", "\xff"}}), "{\n  \"k\": \"\xEF\xBF\xBD\"\n}");
}

}  // namespace
}  // namespace quoll::cri
