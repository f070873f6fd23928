// SPDX-License-Identifier: Apache-2.0
#include "runtime/network/fake_pod_network.h"

#include <memory>
#include <string>
#include <thread>

#include "absl/synchronization/notification.h"
#include "absl/time/clock.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "runtime/network/pod_network_contract.h"

namespace quoll::runtime {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

class FakeHarness : public PodNetworkHarness {
 public:
  PodNetwork& network() override { return fake_; }
  std::string MakeNetns(const std::string& sandbox_id) override {
    return "/run/ns/" + sandbox_id;
  }
  void DestroyNetns(const std::string& /*sandbox_id*/) override {}
  void SetDetachFails(bool fails) override {
    fake_.SetDetachError(fails ? absl::UnavailableError("it is told to fail")
                               : absl::OkStatus());
  }
  void Restart() override {}
  void Poke() override { fake_.RetryOwed(); }

 private:
  FakePodNetwork fake_;
};

std::unique_ptr<PodNetworkHarness> MakeFakeHarness() {
  return std::make_unique<FakeHarness>();
}

INSTANTIATE_TEST_SUITE_P(Fake, PodNetworkContract,
                         ::testing::Values(&MakeFakeHarness));

PodNetwork::Request RequestFor(const std::string& sandbox_id) {
  PodNetwork::Request request;
  request.sandbox_id = sandbox_id;
  return request;
}

TEST(FakePodNetworkTest, GateHoldsAttachUntilItIsOpened) {
  FakePodNetwork fake;
  absl::Notification gate;
  fake.SetAttachGate(&gate);
  absl::Status status = absl::UnknownError("not run");
  std::thread caller([&] {
    status = fake.Attach(RequestFor("a"), absl::InfiniteFuture()).status();
  });
  while (fake.Requests().empty()) {
    std::this_thread::yield();
  }
  gate.Notify();
  caller.join();
  EXPECT_TRUE(status.ok()) << status;
  EXPECT_THAT(fake.Attached(), ElementsAre("a"));
}

TEST(FakePodNetworkTest, InjectedAttachErrorLeavesNothing) {
  FakePodNetwork fake;
  fake.SetAttachError(absl::UnavailableError("no address is free"));
  EXPECT_TRUE(absl::IsUnavailable(
      fake.Attach(RequestFor("a"), absl::InfiniteFuture()).status()));
  EXPECT_THAT(fake.Attached(), IsEmpty());
  EXPECT_EQ(fake.Requests().size(), 1u);
}

TEST(FakePodNetworkTest, NotReadyIsTheAnswerOfAttachToo) {
  FakePodNetwork fake;
  fake.SetReady(absl::FailedPreconditionError("no CNI configuration"));
  EXPECT_TRUE(absl::IsFailedPrecondition(
      fake.Attach(RequestFor("a"), absl::InfiniteFuture()).status()));
}

}  // namespace
}  // namespace quoll::runtime
