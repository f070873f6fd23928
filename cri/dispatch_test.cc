// SPDX-License-Identifier: Apache-2.0
#include "cri/dispatch.h"

#include <memory>
#include <sstream>
#include <stdexcept>
#include <string>
#include <vector>

#include "absl/strings/escaping.h"
#include "gmock/gmock.h"
#include "google/protobuf/text_format.h"
#include "gtest/gtest.h"

#include "cri/credentials.h"
#include "cri/nearest.h"
#include "cri/rpcs.h"
#include "cri/to_grpc_status.h"
#include "os/log.h"
#include "spdlog/sinks/ostream_sink.h"
#include "tests/support/status_matchers.h"

// What every call passes through, and the small tables beside it.
namespace quoll::cri {
namespace {

using ::quoll::testing::IsOk;
using ::quoll::testing::StatusIs;
using ::testing::AllOf;
using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::MatchesRegex;
using ::testing::Not;
using ::testing::Optional;
using ::testing::StartsWith;

TEST(ToGrpcStatusTest, CodesKeepTheirNames) {
  EXPECT_TRUE(ToGrpcStatus(absl::OkStatus()).ok());
  EXPECT_EQ(ToGrpcStatus(absl::NotFoundError("x")).error_code(),
            grpc::StatusCode::NOT_FOUND);
  EXPECT_EQ(ToGrpcStatus(absl::UnauthenticatedError("x")).error_code(),
            grpc::StatusCode::UNAUTHENTICATED);
  EXPECT_EQ(ToGrpcStatus(absl::DeadlineExceededError("x")).error_code(),
            grpc::StatusCode::DEADLINE_EXCEEDED);
  EXPECT_EQ(ToGrpcStatus(absl::NotFoundError("pod: gone")).error_message(),
            "pod: gone");
}

TEST(ToGrpcStatusTest, WordsOfTheKubeletComeFirst) {
  for (const std::string word :
       {"RegistryUnavailable", "SignatureValidationFailed", "RROUnsupported",
        "ImageVolumeMountFailed"}) {
    const grpc::Status status = ToGrpcStatus(absl::UnknownError(
        absl::StrCat("create c: mount: ", word, ": not here")));
    EXPECT_EQ(status.error_code(), grpc::StatusCode::UNKNOWN);
    EXPECT_EQ(status.error_message(),
              absl::StrCat(word, ": create c: mount: not here"));
    // It is there already; or it is no such error.
    const std::string twice = absl::StrCat(word, ": a: ", word);
    EXPECT_EQ(ToGrpcStatus(absl::UnknownError(twice)).error_message(), twice);
    EXPECT_EQ(ToGrpcStatus(absl::InternalError("a: " + word)).error_message(),
              "a: " + word);
  }
  EXPECT_EQ(ToGrpcStatus(absl::UnknownError("other")).error_message(), "other");
}

TEST(ToGrpcStatusTest, LongMessagesKeepTheirEnds) {
  const std::string message =
      "create web: " + std::string(20000, 'x') + " no space left";
  const std::string shown =
      ToGrpcStatus(absl::InternalError(message)).error_message();
  EXPECT_LT(shown.size(), 6100u);
  EXPECT_THAT(shown, AllOf(StartsWith("create web: x"), HasSubstr(" [...] "),
                           EndsWith("x no space left")));
  // Bytes that gRPC writes as three count as three.
  const std::string umlauts =
      ToGrpcStatus(absl::InternalError(std::string(4000, '\xC3')))
          .error_message();
  EXPECT_LT(umlauts.size() * 3, 6100u);
}

TEST(NearestTest, FindsWhatWasMeantOrNothing) {
  const std::vector<std::string> known = {"level", "format", "state_dir"};
  EXPECT_THAT(Nearest("levle", known), Optional(std::string("level")));
  EXPECT_THAT(Nearest("statedir", known), Optional(std::string("state_dir")));
  EXPECT_EQ(Nearest("parallel_layers", known), std::nullopt);
  EXPECT_EQ(Nearest(std::string(5000, 'x'), known), std::nullopt);
  EXPECT_EQ(Nearest("x", {}), std::nullopt);
}

image::Reference Ref(const std::string& name) {
  const auto reference = image::ParseReference(name);
  EXPECT_THAT(reference, IsOk());
  return *reference;
}

criv1::AuthConfig Auth(const std::string& text) {
  criv1::AuthConfig auth;
  EXPECT_TRUE(google::protobuf::TextFormat::ParseFromString(text, &auth));
  return auth;
}

TEST(CredentialsTest, EveryKindIsHandedOn) {
  auto out = ToCredentials(Auth(R"pb(username: "u"
                                     password: "p"
                                     identity_token: "i"
                                     registry_token: "r")pb"),
                           Ref("nginx"));
  ASSERT_THAT(out, IsOk());
  EXPECT_EQ(out->username, "u");
  EXPECT_EQ(out->password, "p");
  EXPECT_EQ(out->identity_token, "i");
  EXPECT_EQ(out->registry_token, "r");
  out = ToCredentials({}, Ref("nginx"));
  ASSERT_THAT(out, IsOk());
  EXPECT_TRUE(out->empty());
}

TEST(CredentialsTest, AuthIsUserAndPasswordInBase64) {
  criv1::AuthConfig auth;
  auth.set_auth(absl::Base64Escape("me:pa:ss"));
  auto out = ToCredentials(auth, Ref("nginx"));
  ASSERT_THAT(out, IsOk());
  EXPECT_EQ(out->username, "me");
  EXPECT_EQ(out->password, "pa:ss");
  auth.set_auth(absl::Base64Escape(absl::string_view("me:p\0\0", 6)));
  out = ToCredentials(auth, Ref("nginx"));
  ASSERT_THAT(out, IsOk());
  EXPECT_EQ(out->password, "p");
  // What is spelt out wins.
  auth.set_username("other");
  out = ToCredentials(auth, Ref("nginx"));
  ASSERT_THAT(out, IsOk());
  EXPECT_EQ(out->username, "other");
  EXPECT_EQ(out->password, "");
}

TEST(CredentialsTest, ErrorsRepeatNoSecret) {
  criv1::AuthConfig auth;
  auth.set_auth("hunter2!");
  EXPECT_THAT(ToCredentials(auth, Ref("nginx")),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       AllOf(HasSubstr("base64"), Not(HasSubstr("hunter")))));
  auth.set_auth(absl::Base64Escape("hunter2"));
  EXPECT_THAT(ToCredentials(auth, Ref("nginx")),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       AllOf(HasSubstr("':'"), Not(HasSubstr("hunter")),
                             Not(HasSubstr(auth.auth())))));
}

TEST(CredentialsTest, GoToTheServerThatTheyNameOnly) {
  struct Case {
    std::string server;
    std::string image;
    bool shown;
  };
  const Case cases[] = {
      {"", "reg:5000/a", true},
      {"reg:5000", "reg:5000/a", true},
      {"https://reg:5000/v2/", "reg:5000/a", true},
      {"http://REG:5000", "reg:5000/a", true},
      {"reg", "reg:5000/a", false},
      {"reg:5000", "reg:5001/a", false},
      {"https://index.docker.io/v1/", "nginx", true},
      {"registry-1.docker.io", "nginx", true},
      {"docker.io", "nginx", true},
      {"https://index.docker.io/v1/", "reg:5000/a", false},
      {"reg.example.evil", "reg.example/a", false},
  };
  for (const Case& each : cases) {
    criv1::AuthConfig auth = Auth("username: \"u\" password: \"p\"");
    auth.set_server_address(each.server);
    const auto out = ToCredentials(auth, Ref(each.image));
    ASSERT_THAT(out, IsOk());
    EXPECT_EQ(!out->empty(), each.shown) << each.server << " " << each.image;
  }
}

TEST(ObjectOfTest, NamesWhatACallIsAbout) {
  criv1::RunPodSandboxRequest run;
  run.mutable_config()->mutable_metadata()->set_name("web");
  run.mutable_config()->mutable_metadata()->set_namespace_("prod");
  EXPECT_EQ(ObjectOf(run), "pod prod/web");
  criv1::CreateContainerRequest create;
  create.mutable_config()->mutable_metadata()->set_name("app");
  create.set_pod_sandbox_id("s1");
  EXPECT_EQ(ObjectOf(create), "container app in sandbox s1");
  criv1::StopContainerRequest stop;
  stop.set_container_id("c1");
  EXPECT_EQ(ObjectOf(stop), "container c1");
  criv1::StopPodSandboxRequest stop_pod;
  stop_pod.set_pod_sandbox_id("s1");
  EXPECT_EQ(ObjectOf(stop_pod), "sandbox s1");
  criv1::PullImageRequest pull;
  pull.mutable_image()->set_image("nginx");
  pull.mutable_auth()->set_password("secret");
  EXPECT_EQ(ObjectOf(pull), "image nginx");
  opv1::LoadImageRequest load;
  load.set_path("/i.tar");
  EXPECT_EQ(ObjectOf(load), "file /i.tar");
  opv1::InspectRequest inspect;
  inspect.set_id("ab");
  EXPECT_EQ(ObjectOf(inspect), "id ab");
  EXPECT_EQ(ObjectOf(criv1::VersionRequest()), "");
}

// Everything logged in its life, one line each: "level message".
class CapturedLog {
 public:
  CapturedLog() : before_(spdlog::default_logger()) {
    auto logger = std::make_shared<spdlog::logger>(
        "test", std::make_shared<spdlog::sinks::ostream_sink_st>(out_));
    logger->set_pattern("%l %v");
    logger->set_level(spdlog::level::debug);
    spdlog::set_default_logger(std::move(logger));
  }
  ~CapturedLog() { spdlog::set_default_logger(before_); }
  std::string text() const { return out_.str(); }

 private:
  std::shared_ptr<spdlog::logger> before_;
  std::ostringstream out_;
};

TEST(RunLoggedTest, OneLineWithWhatItWasAndHowItEnded) {
  const auto line = [](CallKind kind, const absl::Status& end) {
    const CapturedLog log;
    const grpc::Status status =
        RunLogged("StopContainer", kind, "container c1", [&] { return end; });
    EXPECT_EQ(static_cast<int>(status.error_code()),
              static_cast<int>(end.code()));
    return log.text();
  };
  EXPECT_THAT(
      line(CallKind::kChange, absl::OkStatus()),
      MatchesRegex("info StopContainer container c1: [0-9.]+ ms: OK\n"));
  EXPECT_THAT(line(CallKind::kRead, absl::OkStatus()), StartsWith("debug "));
  EXPECT_THAT(line(CallKind::kRead, absl::NotFoundError("x")),
              AllOf(StartsWith("debug "), EndsWith("ms: NOT_FOUND: x\n")));
  EXPECT_THAT(line(CallKind::kChange, absl::NotFoundError("x")),
              StartsWith("warning "));
  EXPECT_THAT(line(CallKind::kRead, absl::InternalError("x")),
              StartsWith("warning "));
}

TEST(RunLoggedTest, EveryCallHasAnIdOfItsOwn) {
  const CapturedLog log;
  std::vector<std::string> ids;
  for (int i = 0; i < 2; ++i) {
    RunLogged("Version", CallKind::kRead, "", [&ids] {
      ids.push_back(os::CurrentRequestId());
      return absl::OkStatus();
    });
  }
  EXPECT_EQ(os::CurrentRequestId(), "");
  EXPECT_EQ(ids[0].size(), 8u);
  EXPECT_NE(ids[0], ids[1]);
}

TEST(RunLoggedTest, WhatALibraryThrowsIsAnAnswerToo) {
  const CapturedLog log;
  const grpc::Status status = RunLogged(
      "PullImage", CallKind::kChange, "image x",
      []() -> absl::Status { throw std::runtime_error("out of luck"); });
  EXPECT_EQ(status.error_code(), grpc::StatusCode::INTERNAL);
  EXPECT_THAT(status.error_message(), HasSubstr("out of luck"));
  EXPECT_THAT(log.text(), HasSubstr("out of luck"));
}

TEST(NotBuiltYetTest, IsASentence) {
  const grpc::Status status = NotBuiltYet("Attach", "streaming server");
  EXPECT_EQ(status.error_code(), grpc::StatusCode::UNIMPLEMENTED);
  EXPECT_EQ(status.error_message(),
            "Attach: not built yet: this version of quolld has no streaming "
            "server");
}

}  // namespace
}  // namespace quoll::cri
