// SPDX-License-Identifier: Apache-2.0
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "google/protobuf/text_format.h"
#include "gtest/gtest.h"

#include "cri/fake_services.h"
#include "cri/rpcs.h"
#include "tests/support/status_matchers.h"

namespace quoll::cri {
namespace {

using ::quoll::testing::IsOk;
using ::quoll::testing::StatusIs;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

criv1::PodSandboxConfig PodConfig() {
  criv1::PodSandboxConfig config;
  EXPECT_TRUE(google::protobuf::TextFormat::ParseFromString(
      R"pb(metadata { name: "web" uid: "u1" namespace: "prod" attempt: 2 }
           hostname: "web"
           log_directory: "/var/log/pods/web"
           dns_config {
             servers: "10.0.0.10"
             searches: "svc"
             options: "ndots:5"
           }
           port_mappings {
             protocol: UDP
             container_port: 53
             host_port: 1053
             host_ip: "::1"
           }
           labels { key: "app" value: "web" }
           annotations { key: "k" value: "v" }
           linux {
             cgroup_parent: "/kubepods/podu1"
             sysctls { key: "net.ipv4.ip_forward" value: "1" }
             security_context {
               namespace_options { network: NODE pid: POD ipc: NODE }
               privileged: true
               selinux_options { level: "s0" }
             }
             overhead { memory_limit_in_bytes: 1024 }
             resources { cpu_shares: 512 }
           })pb",
      &config));
  return config;
}

TEST(RunPodSandboxTest, HandsEverythingOn) {
  FakeBackends fake;
  criv1::RunPodSandboxRequest request;
  *request.mutable_config() = PodConfig();
  request.set_runtime_handler("crun");
  criv1::RunPodSandboxResponse response;
  ASSERT_THAT(RunPodSandbox(fake.all, {}, request, &response), IsOk());
  ASSERT_EQ(fake.sandboxes.records.size(), 1u);
  EXPECT_EQ(response.pod_sandbox_id(), fake.sandboxes.records[0].id());
  const runtime::SandboxSpec& spec = fake.sandboxes.records[0].spec();
  EXPECT_EQ(spec.name(), "web");
  EXPECT_EQ(spec.uid(), "u1");
  EXPECT_EQ(spec.namespace_(), "prod");
  EXPECT_EQ(spec.attempt(), 2u);
  EXPECT_EQ(spec.hostname(), "web");
  EXPECT_EQ(spec.log_directory(), "/var/log/pods/web");
  EXPECT_THAT(spec.dns().servers(), ElementsAre("10.0.0.10"));
  EXPECT_THAT(spec.dns().searches(), ElementsAre("svc"));
  EXPECT_THAT(spec.dns().options(), ElementsAre("ndots:5"));
  ASSERT_EQ(spec.port_mappings_size(), 1);
  EXPECT_EQ(spec.port_mappings(0).protocol(), state::v1::PortMapping::UDP);
  EXPECT_EQ(spec.port_mappings(0).container_port(), 53);
  EXPECT_EQ(spec.port_mappings(0).host_port(), 1053);
  EXPECT_EQ(spec.port_mappings(0).host_ip(), "::1");
  EXPECT_EQ(spec.labels().at("app"), "web");
  EXPECT_EQ(spec.annotations().at("k"), "v");
  EXPECT_EQ(spec.cgroup_parent(), "/kubepods/podu1");
  EXPECT_EQ(spec.sysctls().at("net.ipv4.ip_forward"), "1");
  EXPECT_EQ(spec.namespaces().network(), state::v1::NAMESPACE_NODE);
  EXPECT_EQ(spec.namespaces().pid(), state::v1::NAMESPACE_POD);
  EXPECT_EQ(spec.namespaces().ipc(), state::v1::NAMESPACE_NODE);
  EXPECT_TRUE(spec.privileged());
  EXPECT_EQ(spec.selinux().level(), "s0");
  EXPECT_EQ(spec.overhead().memory_limit_bytes(), 1024);
  EXPECT_EQ(spec.resources().cpu_shares(), 512);
  EXPECT_EQ(spec.runtime_handler(), "crun");
}

TEST(RunPodSandboxTest, WithoutDnsThereIsNone) {
  FakeBackends fake;
  criv1::RunPodSandboxRequest request;
  *request.mutable_config() = PodConfig();
  request.mutable_config()->clear_dns_config();
  criv1::RunPodSandboxResponse response;
  ASSERT_THAT(RunPodSandbox(fake.all, {}, request, &response), IsOk());
  EXPECT_FALSE(fake.sandboxes.records[0].spec().has_dns());
}

struct BadSandbox {
  std::string merge;  // text format, merged over a good config
  absl::StatusCode code;
  std::string message;
};

TEST(RunPodSandboxTest, RefusesWhatCannotBeHonoured) {
  constexpr auto kBad = absl::StatusCode::kInvalidArgument;
  const BadSandbox cases[] = {
      {"metadata { name: \"\" }", kBad, "config.metadata.name is empty"},
      {"metadata { uid: \"\" }", kBad, "config.metadata.uid is empty"},
      {"metadata { namespace: \"\" }", kBad,
       "config.metadata.namespace is empty"},
      {"hostname: \"" + std::string(65, 'h') + "\"", kBad, "config.hostname"},
      {"log_directory: \"logs\"", kBad, "config.log_directory \"logs\""},
      {"port_mappings { container_port: 0 }", kBad,
       "config.port_mappings[1].container_port is 0"},
      {"port_mappings { container_port: 1 host_port: 65536 }", kBad,
       "config.port_mappings[1].host_port is 65536"},
      {"port_mappings { container_port: 1 protocol: 9 }", kBad, ".protocol"},
      {"linux { cgroup_parent: \"kubepods-podx.slice\" }", kBad,
       "is a systemd slice"},
      {"linux { cgroup_parent: \"/a/../b\" }", kBad, "must not contain"},
      {"linux { security_context { namespace_options { network: TARGET } } }",
       kBad, "namespace_options.network: mode TARGET"},
      {"linux { security_context { namespace_options { pid: TARGET } } }", kBad,
       "namespace_options.pid: mode TARGET"},
      {"linux { security_context { namespace_options { ipc: 77 } } }", kBad,
       "namespace_options.ipc: mode 77"},
      {"linux { security_context { namespace_options { "
       "userns_options { mode: POD } } } }",
       absl::StatusCode::kUnimplemented, "hostUsers"},
      {"linux { resources { cpu_shares: -1 } }", kBad,
       "config.linux.resources.cpu_shares is -1"},
      {"linux { overhead { oom_score_adj: 2000 } }", kBad,
       "config.linux.overhead.oom_score_adj is 2000"},
  };
  for (const BadSandbox& bad : cases) {
    FakeBackends fake;
    criv1::RunPodSandboxRequest request;
    *request.mutable_config() = PodConfig();
    criv1::PodSandboxConfig change;
    ASSERT_TRUE(
        google::protobuf::TextFormat::ParseFromString(bad.merge, &change))
        << bad.merge;
    request.mutable_config()->MergeFrom(change);
    // An empty proto3 string does not merge.
    if (bad.merge.find("\"\"") != std::string::npos) {
      auto* metadata = request.mutable_config()->mutable_metadata();
      if (bad.merge.find("uid") != std::string::npos) {
        metadata->clear_uid();
      } else if (bad.merge.find("namespace") != std::string::npos) {
        metadata->clear_namespace_();
      } else {
        metadata->clear_name();
      }
    }
    criv1::RunPodSandboxResponse response;
    EXPECT_THAT(RunPodSandbox(fake.all, {}, request, &response),
                StatusIs(bad.code, HasSubstr(bad.message)))
        << bad.merge;
    EXPECT_TRUE(fake.sandboxes.records.empty());
  }
}

TEST(RunPodSandboxTest, ExplicitHostUserNamespaceIsFine) {
  FakeBackends fake;
  criv1::RunPodSandboxRequest request;
  *request.mutable_config() = PodConfig();
  request.mutable_config()
      ->mutable_linux()
      ->mutable_security_context()
      ->mutable_namespace_options()
      ->mutable_userns_options()
      ->set_mode(criv1::NODE);
  criv1::RunPodSandboxResponse response;
  EXPECT_THAT(RunPodSandbox(fake.all, {}, request, &response), IsOk());
}

TEST(RunPodSandboxTest, UnknownHandlerNamesTheKnownOnes) {
  FakeBackends fake;
  criv1::RunPodSandboxRequest request;
  *request.mutable_config() = PodConfig();
  request.set_runtime_handler("kata");
  criv1::RunPodSandboxResponse response;
  EXPECT_THAT(RunPodSandbox(fake.all, {}, request, &response),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       AllOf(HasSubstr("\"kata\""), HasSubstr("crun, runc"),
                             HasSubstr("[runtimes.kata]"))));
}

TEST(RunPodSandboxTest, EmptyRequestIsRefused) {
  FakeBackends fake;
  criv1::RunPodSandboxResponse response;
  EXPECT_THAT(RunPodSandbox(fake.all, {}, {}, &response),
              StatusIs(absl::StatusCode::kInvalidArgument));
}

class SandboxTest : public ::testing::Test {
 protected:
  // Adds one; its id begins with "abc" and its number.
  runtime::SandboxRecord& Add(const std::string& app) {
    criv1::RunPodSandboxRequest request;
    *request.mutable_config() = PodConfig();
    (*request.mutable_config()->mutable_labels())["app"] = app;
    criv1::RunPodSandboxResponse response;
    EXPECT_THAT(RunPodSandbox(fake_.all, {}, request, &response), IsOk());
    return fake_.sandboxes.records.back();
  }
  std::vector<std::string> List(const std::string& filter) {
    criv1::ListPodSandboxRequest request;
    EXPECT_TRUE(google::protobuf::TextFormat::ParseFromString(
        filter, request.mutable_filter()));
    criv1::ListPodSandboxResponse response;
    EXPECT_THAT(ListPodSandbox(fake_.all, {}, request, &response), IsOk());
    std::vector<std::string> ids;
    for (const criv1::PodSandbox& item : response.items()) {
      ids.push_back(item.id().substr(0, 4));
    }
    return ids;
  }
  FakeBackends fake_;
};

TEST_F(SandboxTest, StopAndRemoveHandTheIdOnAndRefuseNone) {
  criv1::StopPodSandboxRequest stop;
  criv1::StopPodSandboxResponse stopped;
  EXPECT_THAT(StopPodSandbox(fake_.all, {}, stop, &stopped),
              StatusIs(absl::StatusCode::kInvalidArgument));
  stop.set_pod_sandbox_id("abc");
  EXPECT_THAT(StopPodSandbox(fake_.all, {}, stop, &stopped), IsOk());
  EXPECT_THAT(fake_.sandboxes.stopped, ElementsAre("abc"));
  criv1::RemovePodSandboxRequest remove;
  criv1::RemovePodSandboxResponse removed;
  EXPECT_THAT(RemovePodSandbox(fake_.all, {}, remove, &removed),
              StatusIs(absl::StatusCode::kInvalidArgument));
  remove.set_pod_sandbox_id("abc");
  EXPECT_THAT(RemovePodSandbox(fake_.all, {}, remove, &removed), IsOk());
  EXPECT_THAT(fake_.sandboxes.removed, ElementsAre("abc"));
  EXPECT_EQ(fake_.images.containers_gone, 1);
}

TEST_F(SandboxTest, ListAppliesEveryPartOfTheFilter) {
  Add("web");
  Add("db").set_phase(state::v1::SANDBOX_STOPPED);
  Add("web").set_phase(state::v1::SANDBOX_STOPPING);
  EXPECT_THAT(List(""), ElementsAre("abc0", "abc1", "abc2"));
  EXPECT_THAT(List("id: \"abc1\""), ElementsAre("abc1"));
  EXPECT_THAT(List("id: \"nothing\""), ElementsAre());
  EXPECT_THAT(List("state { state: SANDBOX_READY }"), ElementsAre("abc0"));
  EXPECT_THAT(List("state { state: SANDBOX_NOTREADY }"),
              ElementsAre("abc1", "abc2"));
  EXPECT_THAT(List("label_selector { key: \"app\" value: \"web\" }"),
              ElementsAre("abc0", "abc2"));
  EXPECT_THAT(List("label_selector { key: \"app\" value: \"web\" } "
                   "label_selector { key: \"tier\" value: \"x\" }"),
              ElementsAre());
  EXPECT_THAT(List("id: \"abc2\" state { state: SANDBOX_READY }"),
              ElementsAre());
}

TEST_F(SandboxTest, StatusHasWhatTheKubeletReliesOn) {
  runtime::SandboxRecord& record = Add("web");
  record.add_ips("10.1.2.3");
  record.add_ips("fd00::3");
  runtime::ContainerRecord container;
  container.set_id("c1");
  container.mutable_spec()->set_sandbox_id(record.id());
  fake_.containers.records.push_back(container);
  container.set_id("c2");
  container.mutable_spec()->set_sandbox_id("other");
  fake_.containers.records.push_back(container);
  criv1::PodSandboxStatusRequest request;
  request.set_pod_sandbox_id("abc0");
  request.set_verbose(true);
  criv1::PodSandboxStatusResponse response;
  ASSERT_THAT(PodSandboxStatus(fake_.all, {}, request, &response), IsOk());
  const criv1::PodSandboxStatus& status = response.status();
  EXPECT_EQ(status.id(), record.id());
  EXPECT_EQ(status.metadata().name(), "web");
  EXPECT_EQ(status.metadata().namespace_(), "prod");
  EXPECT_EQ(status.metadata().uid(), "u1");
  EXPECT_EQ(status.metadata().attempt(), 2u);
  EXPECT_EQ(status.state(), criv1::SANDBOX_READY);
  EXPECT_EQ(status.created_at(), 1000);
  EXPECT_EQ(status.network().ip(), "10.1.2.3");
  ASSERT_EQ(status.network().additional_ips_size(), 1);
  EXPECT_EQ(status.network().additional_ips(0).ip(), "fd00::3");
  EXPECT_EQ(status.linux().namespaces().options().network(), criv1::NODE);
  EXPECT_EQ(status.labels().at("app"), "web");
  EXPECT_EQ(status.annotations().at("k"), "v");
  EXPECT_GT(response.timestamp(), 0);
  ASSERT_EQ(response.containers_statuses_size(), 1);
  EXPECT_EQ(response.containers_statuses(0).id(), "c1");
  EXPECT_THAT(response.info().at("info"), HasSubstr("\"pid\": 0"));

  record.set_phase(state::v1::SANDBOX_STOPPED);
  ASSERT_THAT(PodSandboxStatus(fake_.all, {}, request, &response), IsOk());
}

TEST_F(SandboxTest, StoppedPodShowsNoAddress) {
  runtime::SandboxRecord& record = Add("web");
  record.add_ips("10.1.2.3");
  record.set_phase(state::v1::SANDBOX_STOPPED);
  criv1::PodSandboxStatusRequest request;
  request.set_pod_sandbox_id("abc0");
  criv1::PodSandboxStatusResponse response;
  ASSERT_THAT(PodSandboxStatus(fake_.all, {}, request, &response), IsOk());
  EXPECT_EQ(response.status().network().ip(), "");
  EXPECT_EQ(response.status().state(), criv1::SANDBOX_NOTREADY);
  EXPECT_TRUE(response.info().empty());
}

TEST_F(SandboxTest, StatusOfUnknownIsNotFound) {
  criv1::PodSandboxStatusRequest request;
  request.set_pod_sandbox_id("fff");
  criv1::PodSandboxStatusResponse response;
  EXPECT_THAT(PodSandboxStatus(fake_.all, {}, request, &response),
              StatusIs(absl::StatusCode::kNotFound));
}

}  // namespace
}  // namespace quoll::cri
