// SPDX-License-Identifier: Apache-2.0
#include "cri/server.h"

#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <chrono>
#include <fstream>
#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/notification.h"
#include "absl/time/clock.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include <grpcpp/client_context.h>
#include <grpcpp/create_channel.h>
#include <grpcpp/security/credentials.h>

#include "cri/fake_services.h"
#include "os/unique_fd.h"
#include "proto/quoll/v1/operator.grpc.pb.h"
#include "proto/runtime/v1/api.grpc.pb.h"
#include "tests/support/status_matchers.h"
#include "tests/support/temp_dir.h"

// The way of a call over a real socket, with a real client.
namespace quoll::cri {
namespace {

namespace criv1 = ::runtime::v1;

using ::quoll::testing::IsOk;
using ::quoll::testing::StatusIs;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::StartsWith;

// No test waits longer than this for anything.
constexpr auto kPatience = std::chrono::seconds(60);
constexpr int kKubeletLimit = 16 << 20;

// A client like the kubelet: it takes at most 16 MiB in one message.
struct Client {
  explicit Client(const std::string& socket) {
    grpc::ChannelArguments arguments;
    arguments.SetMaxReceiveMessageSize(kKubeletLimit);
    // Channels to one address are shared otherwise, also their broken state.
    arguments.SetInt("grpc.use_local_subchannel_pool", 1);
    channel = grpc::CreateCustomChannel(
        "unix:" + socket, grpc::InsecureChannelCredentials(), arguments);
    runtime = criv1::RuntimeService::NewStub(channel);
    images = criv1::ImageService::NewStub(channel);
    operations = ::quoll::v1::Operator::NewStub(channel);
  }
  std::shared_ptr<grpc::Channel> channel;
  std::unique_ptr<criv1::RuntimeService::Stub> runtime;
  std::unique_ptr<criv1::ImageService::Stub> images;
  std::unique_ptr<::quoll::v1::Operator::Stub> operations;
};

std::unique_ptr<grpc::ClientContext> Context() {
  auto context = std::make_unique<grpc::ClientContext>();
  context->set_deadline(std::chrono::system_clock::now() + kPatience);
  return context;
}

grpc::Status Version(Client& client) {
  criv1::VersionResponse response;
  return client.runtime->Version(Context().get(), {}, &response);
}

class ServerTest : public ::testing::Test {
 protected:
  absl::Status Start(const std::string& socket) {
    auto server = Server::Start(socket, fake_.all);
    if (server.ok()) {
      server_ = *std::move(server);
      client_.emplace(socket);
    }
    return server.status();
  }
  void SetUp() override { ASSERT_THAT(Start(socket_), IsOk()); }

  // Fills the list with `count` containers of about 2 KiB each.
  void AddContainers(int count) {
    for (int i = 0; i < count; ++i) {
      runtime::ContainerRecord record;
      record.set_id(absl::StrCat(i));
      (*record.mutable_spec()->mutable_labels())["l"] = std::string(2048, 'x');
      fake_.containers.records.push_back(record);
    }
  }

  ::quoll::testing::TempDir directory_;
  const std::string socket_ = directory_ / "q.sock";
  FakeBackends fake_;
  std::optional<Client> client_;
  std::unique_ptr<Server> server_;
};

TEST_F(ServerTest, OnlyRootMayConnect) {
  struct stat info {};
  ASSERT_EQ(stat(socket_.c_str(), &info), 0);
  EXPECT_TRUE(S_ISSOCK(info.st_mode));
  EXPECT_EQ(info.st_mode & 07777, 0660u);
}

TEST_F(ServerTest, AllThreeServicesAnswer) {
  criv1::VersionResponse version;
  ASSERT_TRUE(client_->runtime->Version(Context().get(), {}, &version).ok());
  EXPECT_EQ(version.runtime_version(), "1.2.3");
  criv1::ImageFsInfoResponse usage;
  ASSERT_TRUE(client_->images->ImageFsInfo(Context().get(), {}, &usage).ok());
  EXPECT_EQ(usage.image_filesystems_size(), 1);
  ::quoll::v1::InspectResponse inspected;
  EXPECT_EQ(client_->operations->Inspect(Context().get(), {}, &inspected)
                .error_code(),
            grpc::StatusCode::INVALID_ARGUMENT);
}

TEST_F(ServerTest, CodesAndSentencesArrive) {
  criv1::ContainerStatusRequest unknown;
  unknown.set_container_id("nothing");
  criv1::ContainerStatusResponse response;
  grpc::Status status =
      client_->runtime->ContainerStatus(Context().get(), unknown, &response);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::NOT_FOUND);
  EXPECT_THAT(status.error_message(), HasSubstr("container nothing"));

  criv1::RunPodSandboxResponse sandbox;
  status = client_->runtime->RunPodSandbox(Context().get(), {}, &sandbox);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_THAT(status.error_message(),
              HasSubstr("config.metadata.name is empty"));

  // Message headers have limits, and are text: neither may cost the error.
  fake_.sandboxes.error = absl::InternalError(
      absl::StrCat("begin \xff\n", std::string(100000, '\x01'), " end"));
  criv1::StopPodSandboxRequest stop;
  stop.set_pod_sandbox_id("s");
  criv1::StopPodSandboxResponse stopped;
  status = client_->runtime->StopPodSandbox(Context().get(), stop, &stopped);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::INTERNAL);
  EXPECT_THAT(status.error_message(),
              AllOf(StartsWith("begin \xff\n"), HasSubstr(" end")));
}

TEST_F(ServerTest, RegistryUnavailableIsUnknownAndComesFirst) {
  fake_.images.error = absl::UnavailableError("pull nginx: refused");
  criv1::PullImageRequest request;
  request.mutable_image()->set_image("nginx");
  criv1::PullImageResponse response;
  const grpc::Status status =
      client_->images->PullImage(Context().get(), request, &response);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::UNKNOWN);
  EXPECT_EQ(status.error_message(), "RegistryUnavailable: pull nginx: refused");
}

TEST_F(ServerTest, WhatIsNotBuiltSaysSo) {
  criv1::RuntimeService::Stub& stub = *client_->runtime;
  const auto expect = [](const std::string& method,
                         const grpc::Status& status) {
    EXPECT_EQ(status.error_code(), grpc::StatusCode::UNIMPLEMENTED) << method;
    EXPECT_THAT(status.error_message(),
                StartsWith(method + ": not built yet: this version of quolld "
                                    "has no "));
  };
#define QUOLL_EXPECT_LATER(Method)                                             \
  do {                                                                         \
    criv1::Method##Response response;                                          \
    expect(#Method,                                                            \
           stub.Method(Context().get(), criv1::Method##Request(), &response)); \
  } while (false)
  QUOLL_EXPECT_LATER(Exec);
  QUOLL_EXPECT_LATER(Attach);
  QUOLL_EXPECT_LATER(PortForward);
  QUOLL_EXPECT_LATER(UpdateContainerResources);
  QUOLL_EXPECT_LATER(UpdatePodSandboxResources);
  QUOLL_EXPECT_LATER(ContainerStats);
  QUOLL_EXPECT_LATER(ListContainerStats);
  QUOLL_EXPECT_LATER(PodSandboxStats);
  QUOLL_EXPECT_LATER(ListPodSandboxStats);
  QUOLL_EXPECT_LATER(ListMetricDescriptors);
  QUOLL_EXPECT_LATER(ListPodSandboxMetrics);
  QUOLL_EXPECT_LATER(CheckpointContainer);
  QUOLL_EXPECT_LATER(CheckpointPod);
  QUOLL_EXPECT_LATER(RestorePod);
#undef QUOLL_EXPECT_LATER
  auto context = Context();
  expect("GetContainerEvents",
         stub.GetContainerEvents(context.get(), {})->Finish());
  context = Context();
  expect("StreamContainerStats",
         stub.StreamContainerStats(context.get(), {})->Finish());
  context = Context();
  expect("StreamPodSandboxStats",
         stub.StreamPodSandboxStats(context.get(), {})->Finish());
  context = Context();
  expect("StreamPodSandboxMetrics",
         stub.StreamPodSandboxMetrics(context.get(), {})->Finish());
}

TEST_F(ServerTest, DeadlineReachesTheWork) {
  absl::Time seen = absl::InfiniteFuture();
  bool cancelled = false;
  fake_.images.on_pull =
      [&](const os::Call& call) -> absl::StatusOr<image::ImageRecord> {
    seen = call.deadline;
    absl::Notification never;
    while (!call.IsCancelled() &&
           absl::Now() < call.deadline + absl::Seconds(30)) {
      never.WaitForNotificationWithTimeout(absl::Milliseconds(1));
    }
    cancelled = call.IsCancelled();
    return absl::DeadlineExceededError("late");
  };
  criv1::PullImageRequest request;
  request.mutable_image()->set_image("nginx");
  criv1::PullImageResponse response;
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() +
                       std::chrono::milliseconds(50));
  EXPECT_EQ(
      client_->images->PullImage(&context, request, &response).error_code(),
      grpc::StatusCode::DEADLINE_EXCEEDED);
  server_->Shutdown(absl::InfiniteFuture());  // the handler has returned
  EXPECT_LT(seen, absl::Now());
  EXPECT_TRUE(cancelled);

  // So short a time may be over before the call is sent.
  grpc::ClientContext at_once;
  at_once.set_deadline(std::chrono::system_clock::now() +
                       std::chrono::milliseconds(1));
  ASSERT_THAT(Start(socket_), IsOk());
  EXPECT_EQ(
      client_->images->PullImage(&at_once, request, &response).error_code(),
      grpc::StatusCode::DEADLINE_EXCEEDED);
  server_->Shutdown(absl::InfiniteFuture());  // before what the handler uses
}

TEST_F(ServerTest, ClientThatLeavesCancelsTheCall) {
  absl::Notification begun;
  bool cancelled = false;
  fake_.images.on_pull =
      [&](const os::Call& call) -> absl::StatusOr<image::ImageRecord> {
    EXPECT_EQ(call.deadline, absl::InfiniteFuture());
    begun.Notify();
    absl::Notification never;
    const absl::Time give_up = absl::Now() + absl::Seconds(30);
    while (!call.IsCancelled() && absl::Now() < give_up) {
      never.WaitForNotificationWithTimeout(absl::Milliseconds(1));
    }
    cancelled = call.IsCancelled();
    return absl::CancelledError("left");
  };
  criv1::PullImageRequest request;
  request.mutable_image()->set_image("nginx");
  criv1::PullImageResponse response;
  grpc::ClientContext context;  // as the kubelet pulls: without a deadline
  grpc::Status status;
  std::thread caller([&] {
    status = client_->images->PullImage(&context, request, &response);
  });
  begun.WaitForNotification();
  context.TryCancel();
  caller.join();
  EXPECT_EQ(status.error_code(), grpc::StatusCode::CANCELLED);
  server_->Shutdown(absl::InfiniteFuture());
  EXPECT_TRUE(cancelled);
}

TEST_F(ServerTest, StreamsGiveEveryObjectOnceInSmallMessages) {
  constexpr int kCount = 5000;
  AddContainers(kCount);
  auto context = Context();
  const auto reader = client_->runtime->StreamContainers(context.get(), {});
  criv1::StreamContainersResponse response;
  int messages = 0;
  int next = 0;
  while (reader->Read(&response)) {
    ++messages;
    EXPECT_LT(response.ByteSizeLong(), 2u << 20);
    for (const criv1::Container& container : response.containers()) {
      ASSERT_EQ(container.id(), absl::StrCat(next++));
    }
  }
  EXPECT_TRUE(reader->Finish().ok());
  EXPECT_EQ(next, kCount);
  EXPECT_GT(messages, 5);
}

TEST_F(ServerTest, StreamsTakeTheirFilters) {
  AddContainers(12);
  runtime::SandboxRecord sandbox;
  sandbox.set_id("abc");
  fake_.sandboxes.records.push_back(sandbox);
  image::ImageRecord image;
  image.set_id("sha256:1");
  fake_.images.records.push_back(image);
  const auto count = [](const auto& reader, auto response, auto size) {
    int found = 0;
    while (reader->Read(&response)) {
      found += (response.*size)();
    }
    EXPECT_TRUE(reader->Finish().ok());
    return found;
  };
  auto context = Context();
  criv1::StreamContainersRequest containers;
  containers.mutable_filter()->set_id("1");  // 1, 10, 11
  EXPECT_EQ(count(client_->runtime->StreamContainers(context.get(), containers),
                  criv1::StreamContainersResponse(),
                  &criv1::StreamContainersResponse::containers_size),
            3);
  for (const auto& [id, expected] :
       {std::pair<std::string, int>{"ab", 1}, {"x", 0}}) {
    context = Context();
    criv1::StreamPodSandboxesRequest sandboxes;
    sandboxes.mutable_filter()->set_id(id);
    EXPECT_EQ(
        count(client_->runtime->StreamPodSandboxes(context.get(), sandboxes),
              criv1::StreamPodSandboxesResponse(),
              &criv1::StreamPodSandboxesResponse::pod_sandboxes_size),
        expected);
    context = Context();
    criv1::StreamImagesRequest images;
    images.mutable_filter()->mutable_image()->set_image(
        expected == 1 ? "sha256:1" : "none");
    EXPECT_EQ(count(client_->images->StreamImages(context.get(), images),
                    criv1::StreamImagesResponse(),
                    &criv1::StreamImagesResponse::images_size),
              expected);
  }
}

TEST_F(ServerTest, MessagesUpToTheKubeletsLimitPass) {
  fake_.containers.exec_output.out = std::string(15u << 20, '\xff');
  criv1::ExecSyncRequest request;
  request.set_container_id("c");
  request.add_cmd("cat");
  criv1::ExecSyncResponse response;
  EXPECT_TRUE(
      client_->runtime->ExecSync(Context().get(), request, &response).ok());
  EXPECT_EQ(response.stdout().size(), 15u << 20);
  // A larger answer is an error, not a broken connection.
  fake_.containers.exec_output.out.resize(17u << 20);
  EXPECT_EQ(client_->runtime->ExecSync(Context().get(), request, &response)
                .error_code(),
            grpc::StatusCode::RESOURCE_EXHAUSTED);
  request.add_cmd(std::string(17u << 20, 'x'));
  EXPECT_EQ(client_->runtime->ExecSync(Context().get(), request, &response)
                .error_code(),
            grpc::StatusCode::RESOURCE_EXHAUSTED);
  EXPECT_TRUE(Version(*client_).ok());
}

TEST_F(ServerTest, SecondDaemonIsRefusedAndTheFirstServesOn) {
  EXPECT_THAT(Server::Start(socket_, fake_.all).status(),
              StatusIs(absl::StatusCode::kFailedPrecondition,
                       AllOf(HasSubstr(socket_),
                             HasSubstr("another process serves on it"))));
  EXPECT_TRUE(Version(*client_).ok());
}

TEST_F(ServerTest, SocketOfADeadDaemonIsReplaced) {
  const std::string stale = directory_ / "stale.sock";
  {
    const os::UniqueFd dead(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    stale.copy(address.sun_path, sizeof(address.sun_path) - 1);
    ASSERT_EQ(bind(dead.get(), reinterpret_cast<const sockaddr*>(&address),
                   sizeof(address)),
              0);
    ASSERT_EQ(listen(dead.get(), 1), 0);
  }
  ASSERT_THAT(Start(stale), IsOk());
  EXPECT_TRUE(Version(*client_).ok());
}

TEST_F(ServerTest, WhatIsNoSocketIsNotTouched) {
  const std::string file = directory_ / "file";
  std::ofstream(file) << "precious";
  EXPECT_THAT(Server::Start(file, fake_.all).status(),
              StatusIs(absl::StatusCode::kFailedPrecondition,
                       HasSubstr("something else at this path")));
  std::string text;
  std::ifstream(file) >> text;
  EXPECT_EQ(text, "precious");
}

TEST_F(ServerTest, PathsThatCannotBeASocketSaySo) {
  EXPECT_THAT(
      Server::Start(directory_ / std::string(120, 'x'), fake_.all).status(),
      StatusIs(absl::StatusCode::kInvalidArgument,
               HasSubstr("choose a shorter run_dir or socket")));
  EXPECT_THAT(
      Server::Start(directory_ / "none/q.sock", fake_.all).status(),
      StatusIs(absl::StatusCode::kUnavailable, HasSubstr("none/q.sock")));
}

TEST_F(ServerTest, PathIsTakenAsItIs) {
  const std::string odd = directory_ / "a b%41?c#d.sock";
  auto server = Server::Start(odd, fake_.all);
  ASSERT_THAT(server, IsOk());
  struct stat info {};
  EXPECT_EQ(stat(odd.c_str(), &info), 0);
}

TEST_F(ServerTest, ShutdownLetsCallsFinishThatRun) {
  absl::Notification begun;
  absl::Notification finish;
  fake_.images.on_pull =
      [&](const os::Call&) -> absl::StatusOr<image::ImageRecord> {
    begun.Notify();
    finish.WaitForNotification();
    image::ImageRecord record;
    record.set_id("sha256:1");
    return record;
  };
  grpc::Status status;
  std::thread caller([&] {
    criv1::PullImageRequest request;
    request.mutable_image()->set_image("nginx");
    criv1::PullImageResponse response;
    status = client_->images->PullImage(Context().get(), request, &response);
    EXPECT_EQ(response.image_ref(), "sha256:1");
  });
  begun.WaitForNotification();
  std::thread stopper([&] { server_->Shutdown(absl::InfiniteFuture()); });
  finish.Notify();
  caller.join();
  stopper.join();
  EXPECT_TRUE(status.ok()) << status.error_message();
  // Nobody answers any more, and the socket is free for the next daemon.
  Client late(socket_);
  EXPECT_EQ(Version(late).error_code(), grpc::StatusCode::UNAVAILABLE);
  EXPECT_THAT(Start(socket_), IsOk());
}

TEST_F(ServerTest, ShutdownCancelsWhatOutlastsItsDeadline) {
  absl::Notification begun;
  fake_.images.on_pull =
      [&](const os::Call& call) -> absl::StatusOr<image::ImageRecord> {
    begun.Notify();
    absl::Notification never;
    const absl::Time give_up = absl::Now() + absl::Seconds(30);
    while (!call.IsCancelled() && absl::Now() < give_up) {
      never.WaitForNotificationWithTimeout(absl::Milliseconds(1));
    }
    return absl::CancelledError("stopped");
  };
  const absl::Time begin = absl::Now();
  grpc::Status status;
  std::thread caller([&] {
    criv1::PullImageRequest request;
    request.mutable_image()->set_image("nginx");
    criv1::PullImageResponse response;
    status = client_->images->PullImage(Context().get(), request, &response);
  });
  begun.WaitForNotification();
  server_.reset();  // without a Shutdown: at once
  caller.join();
  EXPECT_FALSE(status.ok());
  EXPECT_LT(absl::Now() - begin, absl::Seconds(25));
}

}  // namespace
}  // namespace quoll::cri
