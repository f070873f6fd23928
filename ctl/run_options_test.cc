// SPDX-License-Identifier: Apache-2.0
#include "ctl/run_options.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "tests/support/status_matchers.h"

namespace quoll::ctl {
namespace {

namespace criv1 = ::runtime::v1;
using ::quoll::testing::IsOk;
using ::quoll::testing::StatusIs;
using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr auto kInvalid = absl::StatusCode::kInvalidArgument;

RunOptions Named(const std::string& name) {
  RunOptions options;
  options.image = "busybox";
  options.name = name;
  return options;
}

absl::StatusOr<criv1::PodSandboxConfig> Pod(const RunOptions& options) {
  return ToPodConfig(options, "uid-1", "/logs/uid-1");
}

TEST(ToPodConfigTest, SaysWhatThePodIs) {
  const auto pod = Pod(Named("web"));
  ASSERT_THAT(pod, IsOk());
  EXPECT_EQ(pod->metadata().name(), "web");
  EXPECT_EQ(pod->metadata().namespace_(), "default");
  EXPECT_EQ(pod->metadata().uid(), "uid-1");
  EXPECT_EQ(pod->hostname(), "web");
  EXPECT_EQ(pod->log_directory(), "/logs/uid-1");
  EXPECT_EQ(pod->linux().security_context().namespace_options().network(),
            criv1::POD);
}

TEST(ToPodConfigTest, AHostNetworkPodHasTheHostsName) {
  RunOptions options = Named("web");
  options.host_network = true;
  const auto pod = Pod(options);
  ASSERT_THAT(pod, IsOk());
  EXPECT_EQ(pod->hostname(), "");
  EXPECT_EQ(pod->linux().security_context().namespace_options().network(),
            criv1::NODE);
}

TEST(ToPodConfigTest, MapsPorts) {
  RunOptions options = Named("web");
  options.ports = {"8080:80", "53:5353/udp", "1:65535/sctp"};
  const auto pod = Pod(options);
  ASSERT_THAT(pod, IsOk());
  ASSERT_EQ(pod->port_mappings_size(), 3);
  EXPECT_EQ(pod->port_mappings(0).host_port(), 8080);
  EXPECT_EQ(pod->port_mappings(0).container_port(), 80);
  EXPECT_EQ(pod->port_mappings(0).protocol(), criv1::TCP);
  EXPECT_EQ(pod->port_mappings(1).protocol(), criv1::UDP);
  EXPECT_EQ(pod->port_mappings(2).protocol(), criv1::SCTP);
}

TEST(ToPodConfigTest, RefusesPortsThatAreNone) {
  for (const char* port : {"", "80", "80:", ":80", "0:80", "80:65536", "80:-1",
                           "1:2:3", "80:80/icmp", "80:80/tcp/udp", "a:b"}) {
    RunOptions options = Named("web");
    options.ports = {port};
    EXPECT_THAT(Pod(options), StatusIs(kInvalid, HasSubstr(port)));
  }
}

TEST(ToPodConfigTest, PortsOfTheHostsNetworkAreNotMapped) {
  RunOptions options = Named("web");
  options.host_network = true;
  options.ports = {"8080:80"};
  EXPECT_THAT(Pod(options), StatusIs(kInvalid, HasSubstr("--host-network")));
}

TEST(ToPodConfigTest, NamesAreDnsLabels) {
  EXPECT_THAT(Pod(Named("a-1")), IsOk());
  EXPECT_THAT(Pod(Named(std::string(63, 'a'))), IsOk());
  for (const std::string& name :
       {std::string(), std::string("Web"), std::string("a_b"),
        std::string("-a"), std::string("a-"), std::string("../x"),
        std::string("a.b"), std::string(64, 'a')}) {
    EXPECT_THAT(Pod(Named(name)), StatusIs(kInvalid, HasSubstr("--name")));
  }
  RunOptions options = Named("web");
  options.name_space = "kube/system";
  EXPECT_THAT(Pod(options), StatusIs(kInvalid, HasSubstr("--namespace")));
}

TEST(ToContainerConfigTest, WordsAreArgumentsOfTheImagesEntrypoint) {
  const auto container = ToContainerConfig(Named("web"), {"-g", "daemon off;"});
  ASSERT_THAT(container, IsOk());
  EXPECT_THAT(container->args(), ElementsAre("-g", "daemon off;"));
  EXPECT_EQ(container->command_size(), 0);
  EXPECT_EQ(container->metadata().name(), "web");
  EXPECT_EQ(container->log_path(), "web.log");
}

TEST(ToContainerConfigTest, IsConfinedAsTheKubeletDoes) {
  const auto container = ToContainerConfig(Named("web"), {});
  ASSERT_THAT(container, IsOk());
  const auto& security = container->linux().security_context();
  EXPECT_FALSE(security.privileged());
  EXPECT_EQ(security.seccomp().profile_type(),
            criv1::SecurityProfile::RuntimeDefault);
  EXPECT_THAT(security.masked_paths(), Contains("/proc/kcore"));
  EXPECT_THAT(security.readonly_paths(), Contains("/proc/sys"));
}

TEST(ToContainerConfigTest, ReadsEnvironmentAndMounts) {
  RunOptions options = Named("web");
  options.env = {"A=b=c", "EMPTY="};
  options.mounts = {"/srv:/data", "/etc/x:/etc/y:ro", "/a:/b:rw"};
  const auto container = ToContainerConfig(options, {});
  ASSERT_THAT(container, IsOk());
  ASSERT_EQ(container->envs_size(), 2);
  EXPECT_EQ(container->envs(0).key(), "A");
  EXPECT_EQ(container->envs(0).value(), "b=c");
  EXPECT_EQ(container->envs(1).value(), "");
  ASSERT_EQ(container->mounts_size(), 3);
  EXPECT_EQ(container->mounts(0).host_path(), "/srv");
  EXPECT_EQ(container->mounts(0).container_path(), "/data");
  EXPECT_FALSE(container->mounts(0).readonly());
  EXPECT_TRUE(container->mounts(1).readonly());
  EXPECT_FALSE(container->mounts(2).readonly());
}

TEST(ToContainerConfigTest, RefusesEnvironmentThatIsNone) {
  for (const char* variable : {"", "A", "=b"}) {
    RunOptions options = Named("web");
    options.env = {variable};
    EXPECT_THAT(ToContainerConfig(options, {}),
                StatusIs(kInvalid, HasSubstr("NAME=VALUE")));
  }
}

TEST(ToContainerConfigTest, RefusesMountsThatAreNone) {
  for (const char* mount :
       {"", "/a", "/a:", "a:/b", "/a:b", "/a:/b:rx", "/a:/b:ro:x"}) {
    RunOptions options = Named("web");
    options.mounts = {mount};
    EXPECT_THAT(ToContainerConfig(options, {}),
                StatusIs(kInvalid, HasSubstr("HOSTPATH:PATH")));
  }
}

}  // namespace
}  // namespace quoll::ctl
