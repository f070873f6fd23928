// SPDX-License-Identifier: Apache-2.0
#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "cri/fake_services.h"
#include "cri/rpcs.h"
#include "nlohmann/json.hpp"
#include "tests/support/status_matchers.h"

// What is about the node as a whole: Version, Status, both configurations, and
// the operator's Inspect.
namespace quoll::cri {
namespace {

using ::quoll::testing::IsOk;
using ::quoll::testing::StatusIs;
using ::testing::HasSubstr;

TEST(VersionTest, NoFieldIsEmpty) {
  FakeBackends fake;
  criv1::VersionResponse response;
  ASSERT_THAT(Version(fake.all, {}, {}, &response), IsOk());
  EXPECT_EQ(response.version(), "0.1.0");
  EXPECT_EQ(response.runtime_name(), "quoll");
  EXPECT_EQ(response.runtime_version(), "1.2.3");
  EXPECT_EQ(response.runtime_api_version(), "v1");
}

criv1::StatusResponse StatusOf(const FakeBackends& fake, bool verbose) {
  criv1::StatusRequest request;
  request.set_verbose(verbose);
  criv1::StatusResponse response;
  EXPECT_THAT(Status(fake.all, {}, request, &response), IsOk());
  return response;
}

TEST(StatusTest, BothConditionsAreThere) {
  FakeBackends fake;
  criv1::StatusResponse response = StatusOf(fake, false);
  ASSERT_EQ(response.status().conditions_size(), 2);
  EXPECT_EQ(response.status().conditions(0).type(), "RuntimeReady");
  EXPECT_TRUE(response.status().conditions(0).status());
  EXPECT_EQ(response.status().conditions(1).type(), "NetworkReady");
  EXPECT_TRUE(response.status().conditions(1).status());
  EXPECT_TRUE(response.info().empty());

  // Bytes of a broken CNI file: the answer must stay readable.
  fake.network.ready = absl::FailedPreconditionError("10-x.conf: near '\xfe'");
  response = StatusOf(fake, false);
  EXPECT_TRUE(response.status().conditions(0).status());
  EXPECT_FALSE(response.status().conditions(1).status());
  EXPECT_EQ(response.status().conditions(1).reason(), "NetworkPluginNotReady");
  EXPECT_EQ(response.status().conditions(1).message(),
            "10-x.conf: near '\xEF\xBF\xBD'");
}

TEST(StatusTest, HandlersBeginWithTheDefaultAndSayWhatTheyCan) {
  FakeBackends fake;
  const criv1::StatusResponse response = StatusOf(fake, false);
  ASSERT_EQ(response.runtime_handlers_size(), 3);
  EXPECT_EQ(response.runtime_handlers(0).name(), "");
  EXPECT_EQ(response.runtime_handlers(1).name(), "crun");
  EXPECT_EQ(response.runtime_handlers(2).name(), "runc");
  for (const criv1::RuntimeHandler& handler : response.runtime_handlers()) {
    EXPECT_TRUE(handler.has_features());
    EXPECT_FALSE(handler.features().user_namespaces());
  }
  EXPECT_TRUE(response.features().supplemental_groups_policy());
}

TEST(StatusTest, VerboseInfoIsJson) {
  FakeBackends fake;
  fake.settings.set_pod_cidr("10.0.0.0/16");
  const criv1::StatusResponse response = StatusOf(fake, true);
  for (const auto& [key, value] : response.info()) {
    EXPECT_FALSE(nlohmann::json::parse(value, nullptr, false).is_discarded())
        << key;
  }
  EXPECT_TRUE(response.info().contains("config"));
  EXPECT_THAT(response.info().at("daemon"),
              HasSubstr("\"podCIDR\": \"10.0.0.0/16\""));
}

TEST(RuntimeConfigTest, CgroupDriverIsTheOneThatIsBuilt) {
  FakeBackends fake;
  criv1::RuntimeConfigResponse response;
  ASSERT_THAT(RuntimeConfig(fake.all, {}, {}, &response), IsOk());
  EXPECT_EQ(response.linux().cgroup_driver(), criv1::CGROUPFS);
}

TEST(UpdateRuntimeConfigTest, KeepsAPodCidrThatIsOne) {
  FakeBackends fake;
  const auto update = [&fake](const std::string& cidr) {
    criv1::UpdateRuntimeConfigRequest request;
    request.mutable_runtime_config()->mutable_network_config()->set_pod_cidr(
        cidr);
    criv1::UpdateRuntimeConfigResponse response;
    return UpdateRuntimeConfig(fake.all, {}, request, &response);
  };
  EXPECT_THAT(update(""), IsOk());
  for (const std::string good :
       {"10.244.1.0/24", "fd00::/64", "10.0.0.0/16,fd00::/64", "0.0.0.0/0"}) {
    EXPECT_THAT(update(good), IsOk()) << good;
    EXPECT_EQ(fake.settings.pod_cidr(), good);
  }
  for (const std::string bad :
       {"10.244.1.0", "10.244.1.0/33", "fd00::/129", "x/8", "10.0.0.0/-1",
        "10.0.0.0/8,", "10.0.0.0/8/8"}) {
    EXPECT_THAT(update(bad), StatusIs(absl::StatusCode::kInvalidArgument,
                                      HasSubstr("pod_cidr")))
        << bad;
  }
  EXPECT_THAT(update(""), IsOk());  // says nothing, changes nothing
  EXPECT_EQ(fake.settings.pod_cidr(), "0.0.0.0/0");
}

class InspectTest : public ::testing::Test {
 protected:
  InspectTest() {
    runtime::SandboxRecord sandbox;
    sandbox.set_id("aabb");
    fake_.sandboxes.records.push_back(sandbox);
    runtime::ContainerRecord container;
    container.set_id("aacc");
    fake_.containers.records.push_back(container);
  }
  absl::Status Ask(const std::string& id) {
    opv1::InspectRequest request;
    request.set_id(id);
    return Inspect(fake_.all, {}, request, &response_);
  }
  FakeBackends fake_;
  opv1::InspectResponse response_;
};

TEST_F(InspectTest, ShowsASandboxOrAContainer) {
  ASSERT_THAT(Ask("aab"), IsOk());
  nlohmann::json json = nlohmann::json::parse(response_.json());
  EXPECT_EQ(json["kind"], "sandbox");
  EXPECT_EQ(json["record"]["id"], "aabb");
  ASSERT_THAT(Ask("aac"), IsOk());
  json = nlohmann::json::parse(response_.json());
  EXPECT_EQ(json["kind"], "container");
  EXPECT_EQ(json["record"]["id"], "aacc");
  EXPECT_EQ(json["ociSpec"]["ociVersion"], "1");
}

TEST_F(InspectTest, SaysWhyThereIsNothingToShow) {
  EXPECT_THAT(Ask(""), StatusIs(absl::StatusCode::kInvalidArgument));
  EXPECT_THAT(Ask("aa"), StatusIs(absl::StatusCode::kInvalidArgument,
                                  HasSubstr("give more digits")));
  EXPECT_THAT(Ask("ff"), StatusIs(absl::StatusCode::kNotFound,
                                  HasSubstr("no container and no sandbox")));
}

}  // namespace
}  // namespace quoll::cri
