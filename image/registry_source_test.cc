// SPDX-License-Identifier: Apache-2.0
#include "image/registry_source.h"

#include <atomic>
#include <memory>
#include <string>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "image/digest.h"
#include "image/registry_client.h"
#include "image/scripted_http_server.h"
#include "tests/support/status_matchers.h"

namespace quoll::image {
namespace {

using ::quoll::testing::IsOk;
using ::quoll::testing::StatusIs;
using ::testing::HasSubstr;
using ::testing::Not;
using Request = ScriptedHttpServer::Request;
using Peer = ScriptedHttpServer::Peer;

const char kSecret[] = "s3cret-word";

RegistryOptions FastOptions() {
  RegistryOptions options;
  options.first_backoff = absl::Milliseconds(1);
  options.max_backoff = absl::Milliseconds(5);
  return options;
}

std::unique_ptr<ImageSource> Open(RegistryClient& client,
                                  const ScriptedHttpServer& server,
                                  Credentials credentials = {}) {
  return client.Open({server.host(), "team/app", "latest", ""},
                     std::move(credentials));
}

Credentials UserAndPassword() {
  Credentials credentials;
  credentials.username = "user";
  credentials.password = kSecret;
  return credentials;
}

absl::StatusOr<std::string> FetchAll(ImageSource& source,
                                     const std::string& content,
                                     const os::Call& call = {},
                                     int64_t offset = 0) {
  std::string got;
  const absl::Status status = source.FetchBlob(
      {"", DigestOf(content), static_cast<int64_t>(content.size())}, offset,
      [&](absl::string_view chunk) {
        absl::StrAppend(&got, chunk);
        return absl::OkStatus();
      },
      call);
  if (!status.ok()) {
    return status;
  }
  return got;
}

TEST(RegistrySourceTest, FetchesAManifestOverPlainHttpFromLoopback) {
  ScriptedHttpServer server([](const Request& request, Peer& peer) {
    EXPECT_EQ(request.target, "/v2/team/app/manifests/latest");
    EXPECT_THAT(request.Header("accept"), HasSubstr("oci.image.index"));
    EXPECT_EQ(request.Header("authorization"), "");
    peer.Answer(200, "Content-Type: application/json; charset=x\r\n", "{}");
  });
  RegistryClient client(FastOptions());
  const auto manifest = Open(client, server)->FetchManifest("latest", {});
  ASSERT_THAT(manifest, IsOk());
  EXPECT_EQ(manifest->content, "{}");
  EXPECT_EQ(manifest->descriptor.media_type, "application/json");
  EXPECT_EQ(manifest->descriptor.digest, DigestOf("{}"));
}

TEST(RegistrySourceTest, ErrorsNameRepositoryStepAndTheRegistrysWords) {
  ScriptedHttpServer server([](const Request&, Peer& peer) {
    peer.Answer(
        404, "",
        R"({"errors":[{"code":"MANIFEST_UNKNOWN","message":"no\u001b[31m"}]})");
  });
  RegistryClient client(FastOptions());
  EXPECT_THAT(
      Open(client, server)->FetchManifest("v9", {}),
      StatusIs(absl::StatusCode::kNotFound,
               HasSubstr(absl::StrCat(server.host(),
                                      "/team/app: fetch manifest v9: HTTP 404: "
                                      "MANIFEST_UNKNOWN: no?[31m"))));
}

TEST(RegistrySourceTest, RefusesEndlessManifests) {
  ScriptedHttpServer server([](const Request&, Peer& peer) {
    peer.Answer(200, "", std::string((4 << 20) + 1, ' '));
  });
  RegistryClient client(FastOptions());
  EXPECT_THAT(Open(client, server)->FetchManifest("v", {}),
              StatusIs(absl::StatusCode::kDataLoss, HasSubstr("limit")));
}

// A registry that wants a bearer token from a token service at /token.
class TokenRegistry {
 public:
  TokenRegistry()
      : server([this](const Request& request, Peer& peer) {
          if (absl::StartsWith(request.target, "/token")) {
            ++tokens;
            token_target = request.target;
            token_auth = request.Header("authorization");
            token_body = request.body;
            peer.Answer(token_status, "", R"({"token":"tok-1"})");
          } else if (request.Header("authorization") == "Bearer tok-1") {
            peer.Answer(200, "", "{}");
          } else {
            peer.Answer(401,
                        absl::StrCat("WWW-Authenticate: Bearer realm=\"http://",
                                     server.host(),
                                     "/token\",service=\"the registry\"\r\n"),
                        "");
          }
        }) {}
  std::atomic<int> tokens{0};
  int token_status = 200;
  std::string token_target;
  std::string token_auth;
  std::string token_body;
  ScriptedHttpServer server;
};

TEST(RegistrySourceTest, GetsAnAnonymousToken) {
  TokenRegistry registry;
  RegistryClient client(FastOptions());
  const auto source = Open(client, registry.server);
  ASSERT_THAT(source->FetchManifest("latest", {}), IsOk());
  EXPECT_EQ(registry.token_target,
            "/token?service=the%20registry&scope=repository%3Ateam%2Fapp%3A"
            "pull");
  EXPECT_EQ(registry.token_auth, "");
  ASSERT_THAT(source->FetchManifest("latest", {}), IsOk());
  EXPECT_EQ(registry.tokens, 1);  // kept
}

TEST(RegistrySourceTest, GetsATokenForAUser) {
  TokenRegistry registry;
  RegistryClient client(FastOptions());
  ASSERT_THAT(Open(client, registry.server, UserAndPassword())
                  ->FetchManifest("latest", {}),
              IsOk());
  EXPECT_EQ(registry.token_auth, "Basic dXNlcjpzM2NyZXQtd29yZA==");
}

TEST(RegistrySourceTest, PostsAnIdentityToken) {
  TokenRegistry registry;
  RegistryClient client(FastOptions());
  Credentials credentials;
  credentials.identity_token = "id token";
  ASSERT_THAT(
      Open(client, registry.server, credentials)->FetchManifest("latest", {}),
      IsOk());
  EXPECT_EQ(registry.token_target, "/token");
  EXPECT_THAT(registry.token_body, HasSubstr("refresh_token=id%20token"));
}

TEST(RegistrySourceTest, RefusedCredentialsDoNotShowUpInTheError) {
  TokenRegistry registry;
  registry.token_status = 401;
  RegistryClient client(FastOptions());
  EXPECT_THAT(Open(client, registry.server, UserAndPassword())
                  ->FetchManifest("latest", {}),
              StatusIs(absl::StatusCode::kPermissionDenied,
                       ::testing::AllOf(HasSubstr("token service"),
                                        Not(HasSubstr(kSecret)))));
}

TEST(RegistrySourceTest, LogsInWithBasic) {
  ScriptedHttpServer server([](const Request& request, Peer& peer) {
    if (request.Header("authorization") == "Basic dXNlcjpzM2NyZXQtd29yZA==") {
      peer.Answer(200, "", "{}");
    } else {
      peer.Answer(401, "WWW-Authenticate: Basic realm=\"r\"\r\n", "");
    }
  });
  RegistryClient client(FastOptions());
  EXPECT_THAT(Open(client, server, UserAndPassword())->FetchManifest("l", {}),
              IsOk());
  EXPECT_THAT(Open(client, server)->FetchManifest("l", {}),
              StatusIs(absl::StatusCode::kPermissionDenied));
  Credentials wrong = UserAndPassword();
  wrong.password = "wrong";
  EXPECT_THAT(Open(client, server, wrong)->FetchManifest("l", {}),
              StatusIs(absl::StatusCode::kPermissionDenied));
}

TEST(RegistrySourceTest, CredentialsDoNotFollowARedirectToAnotherHost) {
  std::atomic<bool> leaked{false};
  ScriptedHttpServer storage([&](const Request& request, Peer& peer) {
    leaked = !request.Header("authorization").empty();
    peer.Answer(200, "", "blob");
  });
  ScriptedHttpServer server([&](const Request& request, Peer& peer) {
    EXPECT_EQ(request.Header("authorization"), "Bearer direct");
    peer.Answer(
        307, absl::StrCat("Location: http://", storage.host(), "/x\r\n"), "");
  });
  RegistryClient client(FastOptions());
  Credentials credentials;
  credentials.registry_token = "direct";
  const auto got = FetchAll(*Open(client, server, credentials), "blob");
  ASSERT_THAT(got, IsOk());
  EXPECT_EQ(*got, "blob");
  EXPECT_FALSE(leaked);
}

TEST(RegistrySourceTest, DoesNotFollowARedirectToAFile) {
  ScriptedHttpServer server([](const Request&, Peer& peer) {
    peer.Answer(302, "Location: file:///etc/passwd\r\n", "");
  });
  RegistryClient client(FastOptions());
  EXPECT_THAT(FetchAll(*Open(client, server), "blob"),
              StatusIs(absl::StatusCode::kFailedPrecondition));
}

TEST(RegistrySourceTest, ResumesABrokenDownload) {
  const std::string content(100'000, 'x');
  std::atomic<int> requests{0};
  ScriptedHttpServer server([&](const Request& request, Peer& peer) {
    if (requests++ == 0) {
      peer.Send(
          absl::StrCat("HTTP/1.1 200 x\r\nContent-Length: ", content.size(),
                       "\r\n\r\n", content.substr(0, 40'000)));
      return;  // hangs up
    }
    EXPECT_EQ(request.Header("range"), "bytes=40000-");
    peer.Answer(206, "Content-Range: bytes 40000-99999/100000\r\n",
                content.substr(40'000));
  });
  RegistryClient client(FastOptions());
  const auto got = FetchAll(*Open(client, server), content);
  ASSERT_THAT(got, IsOk());
  EXPECT_EQ(*got, content);
  EXPECT_EQ(requests, 2);
}

TEST(RegistrySourceTest, ResumesWhereTheServerKnowsNoRanges) {
  std::string content;
  for (int i = 0; i < 20'000; ++i) {
    absl::StrAppend(&content, i, " ");
  }
  std::atomic<int> requests{0};
  ScriptedHttpServer server([&](const Request&, Peer& peer) {
    const bool broken = requests++ == 0;
    peer.Send(absl::StrCat(
        "HTTP/1.1 200 x\r\nContent-Length: ", content.size(), "\r\n\r\n",
        content.substr(0, broken ? 50'000 : content.size())));
  });
  RegistryClient client(FastOptions());
  const auto got = FetchAll(*Open(client, server), content);
  ASSERT_THAT(got, IsOk());
  EXPECT_EQ(*got, content);
}

TEST(RegistrySourceTest, RefusesMoreBytesThanAnnounced) {
  ScriptedHttpServer server([](const Request&, Peer& peer) {
    peer.Answer(200, "", "blob and more");
  });
  RegistryClient client(FastOptions());
  EXPECT_THAT(FetchAll(*Open(client, server), "blob"),
              StatusIs(absl::StatusCode::kDataLoss, HasSubstr("more bytes")));
}

TEST(RegistrySourceTest, ASinkThatRefusesIsNotRetried) {
  std::atomic<int> requests{0};
  ScriptedHttpServer server([&](const Request&, Peer& peer) {
    ++requests;
    peer.Answer(200, "", "blob");
  });
  RegistryClient client(FastOptions());
  EXPECT_THAT(
      Open(client, server)
          ->FetchBlob({"", DigestOf("blob"), 4}, 0,
                      [](absl::string_view) {
                        return absl::ResourceExhaustedError("disk full");
                      },
                      {}),
      StatusIs(absl::StatusCode::kResourceExhausted, HasSubstr("disk full")));
  EXPECT_EQ(requests, 1);
}

TEST(RegistrySourceTest, TriesAgainWhenTheRegistryIsBusy) {
  std::atomic<int> requests{0};
  ScriptedHttpServer server([&](const Request&, Peer& peer) {
    switch (requests++) {
      case 0:
        return peer.Answer(503, "", "");
      case 1:
        return peer.Answer(429, "Retry-After: 0\r\n", "");
      case 2:
        return;  // hangs up
      default:
        return peer.Answer(200, "", "{}");
    }
  });
  RegistryOptions options = FastOptions();
  options.plain_http.insert(server.host());
  RegistryClient client(options);
  EXPECT_THAT(Open(client, server)->FetchManifest("latest", {}), IsOk());
  EXPECT_EQ(requests, 4);
}

TEST(RegistrySourceTest, GivesUpAfterItsAttempts) {
  std::atomic<int> requests{0};
  ScriptedHttpServer server([&](const Request&, Peer& peer) {
    ++requests;
    peer.Answer(500, "", "");
  });
  RegistryClient client(FastOptions());
  EXPECT_THAT(Open(client, server)->FetchManifest("latest", {}),
              StatusIs(absl::StatusCode::kUnavailable,
                       HasSubstr("5 attempts: HTTP 500")));
  EXPECT_EQ(requests, 5);
}

TEST(RegistrySourceTest, AnUnreachableRegistryIsUnavailable) {
  std::string host;
  {
    ScriptedHttpServer closed([](const Request&, Peer&) {});
    host = closed.host();
  }
  RegistryClient client(FastOptions());
  EXPECT_THAT(client.Open({host, "a", "b", ""}, {})->FetchManifest("b", {}),
              StatusIs(absl::StatusCode::kUnavailable, HasSubstr(host)));
}

// At each attempt, also on connections that were used before.
TEST(RegistrySourceTest, ANameThatIsNotFoundIsUnavailable) {
  RegistryClient client(FastOptions());
  EXPECT_THAT(
      client.Open({"nosuch.invalid", "a", "b", ""}, {})->FetchManifest("b", {}),
      StatusIs(absl::StatusCode::kUnavailable,
               HasSubstr("Could not resolve host: nosuch.invalid")));
}

class SilentRegistryTest : public ::testing::Test {
 protected:
  SilentRegistryTest()
      : server_([](const Request&, Peer& peer) { peer.AwaitHangUp(); }) {
    options_.plain_http.insert(server_.host());
  }
  ScriptedHttpServer server_;
  RegistryOptions options_ = FastOptions();
};

TEST_F(SilentRegistryTest, TheDeadlineHolds) {
  RegistryClient client(options_);
  const absl::Time start = absl::Now();
  EXPECT_THAT(
      Open(client, server_)
          ->FetchManifest("l", {.deadline = start + absl::Milliseconds(50),
                                .cancelled = {}}),
      StatusIs(absl::StatusCode::kDeadlineExceeded));
  EXPECT_LT(absl::Now() - start, absl::Seconds(5));
}

TEST_F(SilentRegistryTest, ACancellationIsNoticed) {
  RegistryClient client(options_);
  std::atomic<int> asked{0};
  EXPECT_THAT(
      Open(client, server_)
          ->FetchManifest("l", {.deadline = absl::InfiniteFuture(),
                                .cancelled = [&] { return ++asked > 3; }}),
      StatusIs(absl::StatusCode::kCancelled));
}

TEST_F(SilentRegistryTest, AStallIsUnavailable) {
  options_.http.stall_timeout = absl::Milliseconds(150);
  options_.max_attempts = 2;
  RegistryClient client(options_);
  EXPECT_THAT(FetchAll(*Open(client, server_), "blob"),
              StatusIs(absl::StatusCode::kUnavailable, HasSubstr("0 bytes")));
}

TEST(ChallengeTest, ReadsSeveralInOneHeader) {
  const auto challenges = ParseChallenges(
      "Basic realm=\"a, \\\"b\\\"\", Bearer realm=\"https://h/t\" , "
      "service=x,scope=\"repository:a/b:pull,push\"");
  ASSERT_EQ(challenges.size(), 2u);
  EXPECT_EQ(challenges[0].scheme, "basic");
  EXPECT_EQ(challenges[0].params.at("realm"), "a, \"b\"");
  EXPECT_EQ(challenges[1].scheme, "bearer");
  EXPECT_EQ(challenges[1].params.at("service"), "x");
  EXPECT_EQ(challenges[1].params.at("scope"), "repository:a/b:pull,push");
}

TEST(ChallengeTest, SurvivesNonsense) {
  for (const char* text : {"", "=", ",,,", "\"", "Bearer realm=\"", "a=b",
                           "Bearer =x", "x \"y\" z", "Bearer realm=\"\\"}) {
    (void)ParseChallenges(text);
  }
}

TEST(LoopbackTest, KnowsThisMachine) {
  for (const char* host :
       {"localhost", "LOCALHOST", "127.0.0.1", "127.9.9.9", "::1", "[::1]"}) {
    EXPECT_TRUE(IsLoopbackHost(host)) << host;
  }
  for (const char* host : {"", "localhost.evil.org", "128.0.0.1", "::2",
                           "127.0.0.1.evil.org", "10.0.0.1"}) {
    EXPECT_FALSE(IsLoopbackHost(host)) << host;
  }
}

}  // namespace
}  // namespace quoll::image
