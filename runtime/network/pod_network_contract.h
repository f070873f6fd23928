// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <memory>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "runtime/network/pod_network.h"

// What every PodNetwork must do. Instantiate it with
//   INSTANTIATE_TEST_SUITE_P(Fake, PodNetworkContract, Values(&MakeHarness));
namespace quoll::runtime {

// One network under test and what only its owner can do to it.
class PodNetworkHarness {
 public:
  virtual ~PodNetworkHarness() = default;
  virtual PodNetwork& network() = 0;
  // The path of a new network namespace, and its end.
  virtual std::string MakeNetns(const std::string& sandbox_id) = 0;
  virtual void DestroyNetns(const std::string& sandbox_id) = 0;
  // From now on every DEL fails, or does not any more.
  virtual void SetDetachFails(bool fails) = 0;
  // As if the daemon had been killed and started again.
  virtual void Restart() = 0;
  // Lets background retries happen, if they do not by themselves.
  virtual void Poke() = 0;
};

class PodNetworkContract
    : public ::testing::TestWithParam<
          std::function<std::unique_ptr<PodNetworkHarness>()>> {
 protected:
  void SetUp() override {
    harness_ = GetParam()();
    ASSERT_NE(harness_, nullptr);
  }

  PodNetwork& network() { return harness_->network(); }

  static absl::Time Soon() { return absl::Now() + absl::Seconds(30); }

  PodNetwork::Request MakeRequest(const std::string& sandbox_id) {
    PodNetwork::Request request;
    request.sandbox_id = sandbox_id;
    request.netns_path = harness_->MakeNetns(sandbox_id);
    request.pod_name = "web";
    request.pod_namespace = "default";
    request.pod_uid = "3f2a";
    return request;
  }

  absl::StatusOr<PodNetwork::Attachment> Attach(const std::string& sandbox_id) {
    return network().Attach(MakeRequest(sandbox_id), Soon());
  }

  // False when the debt is not settled in good time.
  bool AwaitSettled(const std::string& sandbox_id) {
    const absl::Time deadline = Soon();
    while (network().OwesDetach(sandbox_id) && absl::Now() < deadline) {
      harness_->Poke();
      std::this_thread::yield();
    }
    return !network().OwesDetach(sandbox_id);
  }

  std::unique_ptr<PodNetworkHarness> harness_;
};

TEST_P(PodNetworkContract, IsReady) {
  EXPECT_TRUE(network().Ready().ok()) << network().Ready();
}

TEST_P(PodNetworkContract, EveryPodHasItsOwnAddressWithoutPrefix) {
  std::set<std::string> seen;
  for (const char* id : {"pod-2", "pod-3", "pod-4"}) {
    const auto attached = Attach(id);
    ASSERT_TRUE(attached.ok()) << attached.status();
    ASSERT_FALSE(attached->ips.empty());
    EXPECT_THAT(attached->ips.front(),
                ::testing::Not(::testing::HasSubstr("/")));
    EXPECT_THAT(attached->result_json,
                ::testing::HasSubstr(attached->ips.front()));
    EXPECT_TRUE(seen.insert(attached->ips.front()).second);
  }
  for (const char* id : {"pod-2", "pod-3", "pod-4"}) {
    EXPECT_TRUE(network().Detach(id, Soon()).ok());
  }
}

TEST_P(PodNetworkContract, DetachIsRepeatableAndOkForAnUnknownPod) {
  ASSERT_TRUE(Attach("pod-2").ok());
  EXPECT_TRUE(network().Detach("pod-2", Soon()).ok());
  EXPECT_TRUE(network().Detach("pod-2", Soon()).ok());
  EXPECT_TRUE(network().Detach("pod-3", Soon()).ok());
  EXPECT_FALSE(network().OwesDetach("pod-2"));
  EXPECT_FALSE(network().OwesDetach("pod-3"));
}

TEST_P(PodNetworkContract, DetachWorksWithoutTheNamespace) {
  ASSERT_TRUE(Attach("pod-2").ok());
  harness_->DestroyNetns("pod-2");
  const absl::Status status = network().Detach("pod-2", Soon());
  EXPECT_TRUE(status.ok()) << status;
}

TEST_P(PodNetworkContract, CheckKnowsWhatIsAttached) {
  ASSERT_TRUE(Attach("pod-2").ok());
  const absl::Status status = network().Check("pod-2", Soon());
  EXPECT_TRUE(status.ok()) << status;
  ASSERT_TRUE(network().Detach("pod-2", Soon()).ok());
  EXPECT_TRUE(absl::IsNotFound(network().Check("pod-2", Soon())));
}

TEST_P(PodNetworkContract, AttachPastItsDeadlineLeavesNothing) {
  const auto attached =
      network().Attach(MakeRequest("pod-2"), absl::Now() - absl::Seconds(1));
  EXPECT_TRUE(absl::IsDeadlineExceeded(attached.status())) << attached.status();
  EXPECT_TRUE(AwaitSettled("pod-2"));
  EXPECT_TRUE(absl::IsNotFound(network().Check("pod-2", Soon())));
}

TEST_P(PodNetworkContract, FailedDetachIsOwedUntilItSucceeds) {
  ASSERT_TRUE(Attach("pod-2").ok());
  harness_->SetDetachFails(true);
  EXPECT_FALSE(network().Detach("pod-2", Soon()).ok());
  EXPECT_TRUE(network().OwesDetach("pod-2"));
  EXPECT_TRUE(absl::IsFailedPrecondition(network().Check("pod-2", Soon())));
  harness_->SetDetachFails(false);
  EXPECT_TRUE(AwaitSettled("pod-2"));
  EXPECT_TRUE(absl::IsNotFound(network().Check("pod-2", Soon())));
}

TEST_P(PodNetworkContract, DebtsSurviveARestart) {
  ASSERT_TRUE(Attach("pod-2").ok());
  harness_->SetDetachFails(true);
  EXPECT_FALSE(network().Detach("pod-2", Soon()).ok());
  harness_->Restart();
  // Even if its sandbox is still recorded: the DEL has begun.
  ASSERT_TRUE(network().Recover({"pod-2"}).ok());
  EXPECT_TRUE(network().OwesDetach("pod-2"));
  harness_->SetDetachFails(false);
  EXPECT_TRUE(AwaitSettled("pod-2"));
}

TEST_P(PodNetworkContract, RecoveryDetachesExactlyWhatDoesNotLive) {
  ASSERT_TRUE(Attach("pod-2").ok());
  ASSERT_TRUE(Attach("pod-3").ok());
  harness_->Restart();
  ASSERT_TRUE(network().Recover({"pod-2"}).ok());
  EXPECT_TRUE(AwaitSettled("pod-3"));
  EXPECT_FALSE(network().OwesDetach("pod-2"));
  EXPECT_TRUE(network().Check("pod-2", Soon()).ok());
  EXPECT_TRUE(absl::IsNotFound(network().Check("pod-3", Soon())));
  EXPECT_TRUE(network().Detach("pod-2", Soon()).ok());
}

}  // namespace quoll::runtime
