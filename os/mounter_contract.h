// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sys/mount.h>
#include <sys/stat.h>

#include <memory>
#include <string>

#include "absl/time/clock.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "os/mount.h"

// What every Mounter does. A test file instantiates it:
//
//   struct FakeFactory { std::unique_ptr<Mounter> Create(); };
//   INSTANTIATE_TYPED_TEST_SUITE_P(Fake, MounterContract, FakeFactory);
//
// `Factory::Scratch()` gives an existing empty directory to mount below.
namespace quoll::os {

template <typename Factory>
class MounterContract : public ::testing::Test {
 protected:
  MounterContract() : mounter_(factory_.Create()), dir_(factory_.Scratch()) {}
  ~MounterContract() override {
    const auto left = mounter_->ListUnder(dir_);
    EXPECT_TRUE(left.ok()) << left.status();
    for (const std::string& target : *left) {
      EXPECT_TRUE(mounter_->Unmount(target, true, Soon()).ok());
    }
  }

  static absl::Time Soon() { return absl::Now() + absl::Seconds(30); }

  std::string MakeDir(const std::string& name) {
    const std::string path = dir_ + "/" + name;
    ::mkdir(path.c_str(), 0755);
    return path;
  }
  absl::Status MountTmpfs(const std::string& target) {
    MountSpec spec;
    spec.source = "contract";
    spec.target = target;
    spec.fstype = "tmpfs";
    spec.flags = MS_NOSUID;
    spec.data = "size=64k";
    return mounter_->Mount(spec, Soon());
  }
  std::vector<std::string> Listed(const std::string& prefix) {
    const auto listed = mounter_->ListUnder(prefix);
    EXPECT_TRUE(listed.ok()) << listed.status();
    return listed.value_or(std::vector<std::string>());
  }

  Factory factory_;
  std::unique_ptr<Mounter> mounter_;
  std::string dir_;
};

TYPED_TEST_SUITE_P(MounterContract);

TYPED_TEST_P(MounterContract, ListsWholeComponentsDeepestFirst) {
  const std::string a = this->MakeDir("a");
  const std::string ab = this->MakeDir("ab");
  ASSERT_TRUE(this->MountTmpfs(a).ok());
  const std::string inner = this->MakeDir("a/inner");
  ASSERT_TRUE(this->MountTmpfs(inner).ok());
  ASSERT_TRUE(this->MountTmpfs(ab).ok());
  EXPECT_THAT(this->Listed(a), ::testing::ElementsAre(inner, a));
  EXPECT_THAT(this->Listed(a + "/"), ::testing::ElementsAre(inner, a));
  EXPECT_EQ(this->Listed(this->dir_).size(), 3u);
  EXPECT_THAT(this->Listed(this->dir_ + "/none"), ::testing::IsEmpty());
}

TYPED_TEST_P(MounterContract, UnmountsAStackAndListsItOnce) {
  const std::string a = this->MakeDir("a");
  ASSERT_TRUE(this->MountTmpfs(a).ok());
  ASSERT_TRUE(this->MountTmpfs(a).ok());
  EXPECT_THAT(this->Listed(a), ::testing::ElementsAre(a));
  EXPECT_TRUE(this->mounter_->Unmount(a, false, this->Soon()).ok());
  EXPECT_THAT(this->Listed(a), ::testing::IsEmpty());
}

TYPED_TEST_P(MounterContract, UnmountOfNothingIsOk) {
  const std::string a = this->MakeDir("a");
  EXPECT_TRUE(this->mounter_->Unmount(a, false, this->Soon()).ok());
  EXPECT_TRUE(this->mounter_->Unmount(a, true, this->Soon()).ok());
  EXPECT_TRUE(
      this->mounter_->Unmount(a + "/no/such", false, this->Soon()).ok());
}

TYPED_TEST_P(MounterContract, ABusyMountGoesOnlyLazily) {
  const std::string a = this->MakeDir("a");
  ASSERT_TRUE(this->MountTmpfs(a).ok());
  const std::string inner = this->MakeDir("a/inner");
  ASSERT_TRUE(this->MountTmpfs(inner).ok());
  EXPECT_TRUE(absl::IsFailedPrecondition(
      this->mounter_->Unmount(a, false, this->Soon())));
  EXPECT_EQ(this->Listed(a).size(), 2u);
  EXPECT_TRUE(this->mounter_->Unmount(a, true, this->Soon()).ok());
  EXPECT_THAT(this->Listed(a), ::testing::IsEmpty());
}

TYPED_TEST_P(MounterContract, MountsOverlaysOfOneAndMoreLayers) {
  OverlaySpec spec;
  spec.target = this->MakeDir("target");
  EXPECT_TRUE(absl::IsInvalidArgument(
      this->mounter_->MountOverlay(spec, this->Soon())));
  spec.lower = {this->MakeDir("l1")};
  EXPECT_TRUE(this->mounter_->MountOverlay(spec, this->Soon()).ok());
  EXPECT_THAT(this->Listed(this->dir_), ::testing::ElementsAre(spec.target));
  EXPECT_TRUE(this->mounter_->Unmount(spec.target, false, this->Soon()).ok());
  spec.lower.push_back(this->MakeDir("l2"));
  EXPECT_TRUE(this->mounter_->MountOverlay(spec, this->Soon()).ok());
  EXPECT_THAT(this->Listed(this->dir_), ::testing::ElementsAre(spec.target));
}

TYPED_TEST_P(MounterContract, BindsAndSetsPropagation) {
  MountSpec spec;
  spec.source = this->MakeDir("source");
  spec.target = this->MakeDir("target");
  spec.flags = MS_BIND | MS_REC | MS_RDONLY | MS_PRIVATE;
  EXPECT_TRUE(this->mounter_->Mount(spec, this->Soon()).ok());
  spec.flags = MS_SHARED | MS_REC;  // changes it, adds none
  EXPECT_TRUE(this->mounter_->Mount(spec, this->Soon()).ok());
  EXPECT_TRUE(this->mounter_->Unmount(spec.target, false, this->Soon()).ok());
  EXPECT_THAT(this->Listed(this->dir_), ::testing::IsEmpty());
}

TYPED_TEST_P(MounterContract, GivesUpAtItsDeadline) {
  const std::string a = this->MakeDir("a");
  EXPECT_TRUE(absl::IsDeadlineExceeded(
      this->mounter_->Unmount(a, false, absl::InfinitePast())));
}

REGISTER_TYPED_TEST_SUITE_P(MounterContract, ListsWholeComponentsDeepestFirst,
                            UnmountsAStackAndListsItOnce, UnmountOfNothingIsOk,
                            ABusyMountGoesOnlyLazily,
                            MountsOverlaysOfOneAndMoreLayers,
                            BindsAndSetsPropagation, GivesUpAtItsDeadline);

}  // namespace quoll::os
