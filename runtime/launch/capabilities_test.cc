// SPDX-License-Identifier: Apache-2.0
#include "runtime/launch/capabilities.h"

#include "tests/support/status_matchers.h"

namespace quoll::runtime {
namespace {

using quoll::testing::IsOkAndHolds;
using quoll::testing::StatusIs;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

const std::vector<std::string>& Node() {
  static const auto& names = *new std::vector<std::string>{
      "CAP_CHOWN", "CAP_KILL", "CAP_NET_ADMIN", "CAP_SYS_ADMIN"};
  return names;
}

TEST(CapabilitiesTest, DefaultsAreWhatTheNodeHoldsOfThem) {
  const auto sets = ChooseCapabilities({}, Node());
  ASSERT_THAT(sets, quoll::testing::IsOk());
  EXPECT_THAT(sets->held, ElementsAre("CAP_CHOWN", "CAP_KILL"));
  EXPECT_THAT(sets->ambient, IsEmpty());
}

struct Case {
  std::vector<std::string> add;
  std::vector<std::string> drop;
  std::vector<std::string> want;
};

TEST(CapabilitiesTest, AddsAndDropsUnderAnySpelling) {
  const std::vector<Case> cases = {
      {{"net_admin"}, {}, {"CAP_CHOWN", "CAP_KILL", "CAP_NET_ADMIN"}},
      {{"CAP_Net_Admin"}, {"Kill"}, {"CAP_CHOWN", "CAP_NET_ADMIN"}},
      {{}, {"ALL"}, {}},
      {{"SYS_ADMIN"}, {"all"}, {"CAP_SYS_ADMIN"}},
      {{"ALL"}, {}, Node()},
      {{"CAP_ALL"}, {"SYS_ADMIN"}, {"CAP_CHOWN", "CAP_KILL", "CAP_NET_ADMIN"}},
      {{"KILL"}, {"KILL"}, {"CAP_CHOWN"}},
      // Dropping what the node lacks is nothing to complain about.
      {{}, {"SYS_TIME"}, {"CAP_CHOWN", "CAP_KILL"}},
  };
  for (const Case& c : cases) {
    state::v1::Security security;
    security.mutable_add_capabilities()->Add(c.add.begin(), c.add.end());
    security.mutable_drop_capabilities()->Add(c.drop.begin(), c.drop.end());
    const auto sets = ChooseCapabilities(security, Node());
    ASSERT_THAT(sets, quoll::testing::IsOk());
    EXPECT_EQ(sets->held, c.want) << security.ShortDebugString();
  }
}

TEST(CapabilitiesTest, PrivilegedHoldsAllOfTheNode) {
  state::v1::Security security;
  security.set_privileged(true);
  EXPECT_EQ(ChooseCapabilities(security, Node())->held, Node());
}

TEST(CapabilitiesTest, RefusesUnknownNamesAndNumbers) {
  const std::vector<std::string> names = {"SYS_EVERYTHING", "", "cap_", "12",
                                          std::string("kill\0x", 6)};
  for (const std::string& name : names) {
    state::v1::Security security;
    security.add_drop_capabilities(name);
    EXPECT_THAT(ChooseCapabilities(security, Node()),
                StatusIs(absl::StatusCode::kInvalidArgument))
        << name;
  }
}

TEST(CapabilitiesTest, NamesARequestedOneThatTheNodeLacks) {
  state::v1::Security security;
  security.add_add_capabilities("SYS_TIME");
  EXPECT_THAT(ChooseCapabilities(security, Node()),
              StatusIs(absl::StatusCode::kFailedPrecondition,
                       HasSubstr("CAP_SYS_TIME")));
}

TEST(CapabilitiesTest, AmbientMustBeHeld) {
  state::v1::Security security;
  security.add_ambient_capabilities("KILL");
  EXPECT_THAT(ChooseCapabilities(security, Node())->ambient,
              ElementsAre("CAP_KILL"));
  security.add_ambient_capabilities("NET_ADMIN");
  EXPECT_THAT(
      ChooseCapabilities(security, Node()),
      StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("CAP_NET_ADMIN")));
}

TEST(CapabilitiesTest, NamesTheBitsOfAMask) {
  EXPECT_THAT(CapabilitiesOfMask(0x21), ElementsAre("CAP_CHOWN", "CAP_KILL"));
  // Bit 63 has no name yet.
  EXPECT_THAT(CapabilitiesOfMask(uint64_t{1} << 63), IsEmpty());
}

}  // namespace
}  // namespace quoll::runtime
