// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sys/stat.h>

#include <memory>
#include <string>

#include "absl/time/clock.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "os/files.h"
#include "os/helper.h"

// What every HostActions does; instantiated like os/mounter_contract.h.
namespace quoll::os {

template <typename Factory>
class HostActionsContract : public ::testing::Test {
 protected:
  HostActionsContract() : host_(factory_.Create()) {
    request_.dir = factory_.Scratch() + "/pod";
    request_.net = request_.ipc = request_.uts = true;
    request_.hostname = "contract";
    ::mkdir(request_.dir.c_str(), 0755);
  }
  ~HostActionsContract() override {
    EXPECT_TRUE(host_->Unpin(request_.dir, Soon()).ok());
  }
  static absl::Time Soon() { return absl::Now() + absl::Seconds(30); }

  Factory factory_;
  std::unique_ptr<HostActions> host_;
  PinRequest request_;
};

TYPED_TEST_SUITE_P(HostActionsContract);

TYPED_TEST_P(HostActionsContract, PinsWhatIsAskedAndUnpinsIt) {
  const auto pinned = this->host_->Pin(this->request_, this->Soon());
  ASSERT_TRUE(pinned.ok()) << pinned.status();
  EXPECT_EQ(pinned->pause.pid, 0);
  const std::string& dir = this->request_.dir;
  EXPECT_EQ(ListDirectory(dir).value(),
            (std::vector<std::string>{"ipc", "net", "uts"}));
  EXPECT_TRUE(this->host_->Unpin(dir, this->Soon()).ok());
  EXPECT_FALSE(Exists(dir));
  EXPECT_TRUE(this->host_->Unpin(dir, this->Soon()).ok());
}

TYPED_TEST_P(HostActionsContract, RefusesToPinTwice) {
  ASSERT_TRUE(this->host_->Pin(this->request_, this->Soon()).ok());
  EXPECT_TRUE(absl::IsAlreadyExists(
      this->host_->Pin(this->request_, this->Soon()).status()));
  EXPECT_EQ(ListDirectory(this->request_.dir).value().size(), 3u);
}

TYPED_TEST_P(HostActionsContract, RefusesSysctlsOfTheHost) {
  for (const char* name :
       {"kernel.pid_max", "vm.swappiness", "fs.file-max", "kernel.panic"}) {
    this->request_.sysctls = {{name, "1"}};
    const absl::Status status =
        this->host_->Pin(this->request_, this->Soon()).status();
    EXPECT_TRUE(absl::IsInvalidArgument(status)) << status;
    EXPECT_THAT(std::string(status.message()), ::testing::HasSubstr(name));
  }
  // Nor those of a namespace that is not the pod's own.
  this->request_.net = false;
  this->request_.sysctls = {{"net.ipv4.ip_forward", "1"}};
  EXPECT_TRUE(absl::IsInvalidArgument(
      this->host_->Pin(this->request_, this->Soon()).status()));
  EXPECT_TRUE(ListDirectory(this->request_.dir).value().empty());
}

TYPED_TEST_P(HostActionsContract, NeedsTheDirectory) {
  PinRequest request = this->request_;
  request.dir += "/none";
  EXPECT_TRUE(
      absl::IsNotFound(this->host_->Pin(request, this->Soon()).status()));
}

TYPED_TEST_P(HostActionsContract, LooksAtPaths) {
  const auto found = this->host_->ProbePath("/", false, this->Soon());
  ASSERT_TRUE(found.ok()) << found.status();
  EXPECT_EQ(found->resolved, "/");
  EXPECT_TRUE(found->is_directory);
  EXPECT_FALSE(found->created);
  EXPECT_TRUE(absl::IsInvalidArgument(
      this->host_->ProbePath("relative", false, this->Soon()).status()));
}

TYPED_TEST_P(HostActionsContract, GivesUpAtItsDeadline) {
  const absl::Time past = absl::InfinitePast();
  EXPECT_TRUE(absl::IsDeadlineExceeded(
      this->host_->Pin(this->request_, past).status()));
  EXPECT_TRUE(
      absl::IsDeadlineExceeded(this->host_->Unpin(this->request_.dir, past)));
  EXPECT_TRUE(absl::IsDeadlineExceeded(
      this->host_->ProbePath("/", false, past).status()));
}

REGISTER_TYPED_TEST_SUITE_P(HostActionsContract, PinsWhatIsAskedAndUnpinsIt,
                            RefusesToPinTwice, RefusesSysctlsOfTheHost,
                            NeedsTheDirectory, LooksAtPaths,
                            GivesUpAtItsDeadline);

}  // namespace quoll::os
