// SPDX-License-Identifier: Apache-2.0
#include "ctl/resolve.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "tests/support/status_matchers.h"

namespace quoll::ctl {
namespace {

using ::quoll::testing::IsOkAndHolds;
using ::quoll::testing::StatusIs;
using ::testing::AllOf;
using ::testing::Field;
using ::testing::HasSubstr;
using ::testing::Not;

auto Is(Target::Kind kind, const std::string& id) {
  return IsOkAndHolds(
      AllOf(Field(&Target::kind, kind), Field(&Target::id, id)));
}
auto IsPod(const std::string& id) {
  return Is(Target::Kind::kPod, id);
}
auto IsContainer(const std::string& id) {
  return Is(Target::Kind::kContainer, id);
}

class ChooseTest : public ::testing::Test {
 protected:
  ChooseTest() {
    AddPod("aaaa1111", "web");
    AddPod("aaaa2222", "db");
    AddContainer("bbbb1111", "web", "aaaa1111");
    AddContainer("bbbb2222", "sidecar", "aaaa1111");
    AddContainer("cccc3333", "sidecar", "aaaa2222");
  }

  void AddPod(const std::string& id, const std::string& name) {
    criv1::PodSandbox* pod = pods_.add_items();
    pod->set_id(id);
    pod->mutable_metadata()->set_name(name);
  }
  void AddContainer(const std::string& id, const std::string& name,
                    const std::string& pod) {
    criv1::Container* container = containers_.add_containers();
    container->set_id(id);
    container->mutable_metadata()->set_name(name);
    container->set_pod_sandbox_id(pod);
  }
  absl::StatusOr<Target> Find(const std::string& word,
                              Accept accept = Accept::kBoth) {
    return Choose(pods_, containers_, word, accept);
  }

  criv1::ListPodSandboxResponse pods_;
  criv1::ListContainersResponse containers_;
};

TEST_F(ChooseTest, TakesIdsPrefixesAndNames) {
  EXPECT_THAT(Find("aaaa1111"), IsPod("aaaa1111"));
  EXPECT_THAT(Find("aaaa1"), IsPod("aaaa1111"));
  EXPECT_THAT(Find("db"), IsPod("aaaa2222"));
  EXPECT_THAT(Find("c"), IsContainer("cccc3333"));
  EXPECT_THAT(Find("db/sidecar"), IsContainer("cccc3333"));
}

TEST_F(ChooseTest, APodStandsForItsContainersOfTheSameName) {
  EXPECT_THAT(Find("web"), IsPod("aaaa1111"));
  EXPECT_THAT(Find("web/web"), IsContainer("bbbb1111"));
  EXPECT_THAT(Find("web", Accept::kContainers), IsContainer("bbbb1111"));
}

TEST_F(ChooseTest, ButNotForThoseOfOtherPods) {
  AddContainer("dddd1111", "web", "aaaa2222");
  EXPECT_THAT(Find("web"),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       AllOf(HasSubstr("pod aaaa1111"), HasSubstr("dddd1111"),
                             Not(HasSubstr("bbbb1111")))));
}

TEST_F(ChooseTest, SeveralAreAllNamed) {
  EXPECT_THAT(Find("aaaa"), StatusIs(absl::StatusCode::kInvalidArgument,
                                     AllOf(HasSubstr("aaaa1111 (web)"),
                                           HasSubstr("aaaa2222 (db)"))));
  EXPECT_THAT(Find("sidecar"), StatusIs(absl::StatusCode::kInvalidArgument,
                                        HasSubstr("cccc3333 (sidecar)")));
}

TEST_F(ChooseTest, AnExactNameWinsOverAPrefix) {
  AddPod("eeee1111", "aaaa");
  EXPECT_THAT(Find("aaaa"), IsPod("eeee1111"));
}

TEST_F(ChooseTest, LooksOnlyAtWhatTheCommandTakes) {
  EXPECT_THAT(Find("aaaa1111", Accept::kContainers),
              StatusIs(absl::StatusCode::kNotFound, HasSubstr("no container")));
  EXPECT_THAT(Find("bbbb1111", Accept::kPods),
              StatusIs(absl::StatusCode::kNotFound, HasSubstr("no pod")));
}

TEST_F(ChooseTest, NothingIsNotFound) {
  EXPECT_THAT(Find("nosuch"),
              StatusIs(absl::StatusCode::kNotFound, HasSubstr("nosuch")));
  EXPECT_THAT(Find(""), StatusIs(absl::StatusCode::kNotFound));
  EXPECT_THAT(Find("/"), StatusIs(absl::StatusCode::kNotFound));
}

}  // namespace
}  // namespace quoll::ctl
