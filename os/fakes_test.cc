// SPDX-License-Identifier: Apache-2.0
// The fakes keep the contracts, and fail as they are told to.
#include <memory>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "os/fake_host_actions.h"
#include "os/fake_mounter.h"
#include "os/host_actions_contract.h"
#include "os/mounter_contract.h"
#include "tests/support/status_matchers.h"
#include "tests/support/temp_dir.h"

namespace quoll::os {
namespace {

using ::quoll::testing::IsOk;
using ::quoll::testing::StatusIs;
using ::testing::ElementsAre;

template <typename Interface, typename Fake>
struct FakeFactory {
  std::unique_ptr<Interface> Create() { return std::make_unique<Fake>(); }
  std::string Scratch() { return dir.path(); }
  quoll::testing::TempDir dir;
};

using MounterFactory = FakeFactory<Mounter, FakeMounter>;
using HostFactory = FakeFactory<HostActions, FakeHostActions>;
INSTANTIATE_TYPED_TEST_SUITE_P(Fake, MounterContract, MounterFactory);
INSTANTIATE_TYPED_TEST_SUITE_P(Fake, HostActionsContract, HostFactory);

TEST(FakeMounterTest, FailsTheKthCallAndATarget) {
  FakeMounter mounter;
  const absl::Time soon = absl::InfiniteFuture();
  mounter.FailCall(2, absl::UnavailableError("k"));
  mounter.FailTarget("/c", absl::InternalError("c"));
  EXPECT_THAT(mounter.Mount({"s", "/a", "tmpfs", 0, ""}, soon), IsOk());
  EXPECT_THAT(mounter.Mount({"s", "/b", "tmpfs", 0, ""}, soon),
              StatusIs(absl::StatusCode::kUnavailable));
  EXPECT_THAT(mounter.Mount({"s", "/c", "tmpfs", 0, ""}, soon),
              StatusIs(absl::StatusCode::kInternal));
  mounter.FailTarget("/c", absl::OkStatus());
  EXPECT_THAT(mounter.Unmount("/c", true, soon), IsOk());
  EXPECT_EQ(mounter.mounted().size(), 1u);
  EXPECT_THAT(mounter.calls(), ElementsAre("mount /a", "mount /b", "mount /c",
                                           "unmount lazy /c"));
}

TEST(FakeHostActionsTest, AnswersAsConfigured) {
  FakeHostActions host;
  const absl::Time soon = absl::InfiniteFuture();
  host.SetPath("/missing", absl::NotFoundError("no"));
  EXPECT_THAT(host.ProbePath("/missing", false, soon),
              StatusIs(absl::StatusCode::kNotFound));
  EXPECT_TRUE(host.ProbePath("/missing", true, soon)->created);
  EXPECT_FALSE(host.ProbePath("/missing", true, soon)->created);
  EXPECT_TRUE(host.ProbePath("/else", false, soon)->is_directory);
  host.FailCall(1, absl::UnavailableError("k"));
  EXPECT_THAT(host.ProbePath("/else", false, soon),
              StatusIs(absl::StatusCode::kUnavailable));
}

}  // namespace
}  // namespace quoll::os
