// SPDX-License-Identifier: Apache-2.0
#include "image/registry_source.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/socket.h>

#include <memory>
#include <string>
#include <variant>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "image/archive_source.h"
#include "image/digest.h"
#include "image/fake_image_source.h"
#include "image/manifest.h"
#include "image/registry_client.h"
#include "os/files.h"
#include "os/process.h"
#include "tests/support/status_matchers.h"
#include "tests/support/temp_dir.h"

namespace quoll::image {
namespace {

using ::quoll::testing::IsOk;
using ::quoll::testing::StatusIs;
using ::quoll::testing::TempDir;
using ::testing::HasSubstr;

os::UniqueFd Dial(int port) {
  os::UniqueFd fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  struct sockaddr_in address = {};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<uint16_t>(port));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (::connect(fd.get(), reinterpret_cast<struct sockaddr*>(&address),
                sizeof(address)) != 0) {
    return os::UniqueFd();
  }
  return fd;
}

// A port that was free a moment ago.
int FreePort() {
  const os::UniqueFd fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  struct sockaddr_in address = {};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof(address);
  auto* generic = reinterpret_cast<struct sockaddr*>(&address);
  EXPECT_EQ(::bind(fd.get(), generic, size), 0);
  EXPECT_EQ(::getsockname(fd.get(), generic, &size), 0);
  return ntohs(address.sin_port);
}

// A real docker-registry, filled by skopeo from an OCI layout made here.
class RealRegistryTest : public ::testing::Test {
 protected:
  void SetUp() override {
    for (const char* program :
         {"/usr/bin/docker-registry", "/usr/bin/skopeo"}) {
      ASSERT_TRUE(os::Exists(program)) << program << " is not installed";
    }
    for (int attempt = 0; attempt < 5 && !registry_; ++attempt) {
      StartRegistry();
    }
    ASSERT_TRUE(registry_) << "docker-registry does not start";
    Push();
  }

  void TearDown() override {
    if (registry_) {
      EXPECT_THAT(registry_->Signal(SIGKILL), IsOk());
      EXPECT_THAT(registry_->AwaitExit(absl::Now() + absl::Seconds(20)),
                  IsOk());
      EXPECT_THAT(registry_->Reap(), IsOk());
    }
  }

  void StartRegistry() {
    port_ = FreePort();
    ASSERT_THAT(os::WriteFileAtomically(
                    dir_ / "config.yml",
                    absl::StrCat("version: 0.1\nlog: {level: error}\nstorage:\n"
                                 "  filesystem: {rootdirectory: ",
                                 dir_ / "registry",
                                 "}\nhttp: {addr: '127.0.0.1:", port_, "'}\n"),
                    0644),
                IsOk());
    os::SpawnRequest request;
    request.argv = {"/usr/bin/docker-registry", "serve", dir_ / "config.yml"};
    request.env = {"PATH=/usr/bin:/bin", "OTEL_TRACES_EXPORTER=none"};
    auto started = os::Spawn(request);
    ASSERT_THAT(started, IsOk());
    const absl::Time limit = absl::Now() + absl::Seconds(30);
    while (absl::Now() < limit && !started->HasExited()) {
      if (Dial(port_).valid()) {
        registry_ = std::make_unique<os::Pidfd>(*std::move(started));
        return;
      }
      absl::SleepFor(absl::Milliseconds(20));  // polls, with a limit
    }
    (void)started->Signal(SIGKILL);
    (void)started->AwaitExit(absl::Now() + absl::Seconds(20));
    (void)started->Reap();
  }

  void Push() {
    manifest_digest_ = image_.AddImage("latest", {layer_, "small"});
    const std::string blobs = dir_ / "oci/blobs/sha256";
    ASSERT_THAT(os::MakeDirectories(blobs, 0755), IsOk());
    image_.blobs[manifest_digest_] = image_.manifests["latest"];
    for (const auto& [digest, bytes] : image_.blobs) {
      ASSERT_THAT(os::WriteFileAtomically(
                      absl::StrCat(blobs, "/", digest.substr(7)), bytes, 0644),
                  IsOk());
    }
    ASSERT_THAT(
        os::WriteFileAtomically(dir_ / "oci/oci-layout",
                                R"({"imageLayoutVersion":"1.0.0"})", 0644),
        IsOk());
    ASSERT_THAT(
        os::WriteFileAtomically(
            dir_ / "oci/index.json",
            absl::StrCat(
                R"({"schemaVersion":2,"manifests":[{"mediaType":)",
                R"("application/vnd.oci.image.manifest.v1+json","digest":")",
                manifest_digest_, R"(","size":)",
                image_.manifests["latest"].size(),
                R"(,"annotations":{"org.opencontainers.image.ref.name":)",
                R"("v1"}}]})"),
            0644),
        IsOk());
    Skopeo({"copy", "--dest-tls-verify=false", "--preserve-digests",
            absl::StrCat("oci:", dir_ / "oci:v1"),
            absl::StrCat("docker://127.0.0.1:", port_, "/team/app:v1")});
  }

  void Skopeo(std::vector<std::string> args) {
    args.insert(args.begin(), {"/usr/bin/skopeo", "--insecure-policy"});
    os::CommandRequest request;
    request.spawn.argv = std::move(args);
    request.spawn.env = {"PATH=/usr/bin:/bin",
                         absl::StrCat("HOME=", dir_.path()),
                         absl::StrCat("TMPDIR=", dir_.path())};
    request.deadline = absl::Now() + absl::Seconds(60);
    const auto result = os::RunCommand(request);
    ASSERT_THAT(result, IsOk());
    ASSERT_EQ(result->exit.ShellCode(), 0) << result->err;
  }

  std::unique_ptr<ImageSource> Open() {
    return client_.Open(
        {absl::StrCat("127.0.0.1:", port_), "team/app", "v1", ""}, {});
  }

  static absl::Status FetchBlob(ImageSource& source, const Descriptor& blob,
                                int64_t offset, std::string* out) {
    return source.FetchBlob(blob, offset,
                            [&](absl::string_view chunk) {
                              absl::StrAppend(out, chunk);
                              return absl::OkStatus();
                            },
                            {});
  }

  TempDir dir_;
  FakeImageSource image_;
  // The content of no format: a registry does not look into layers.
  const std::string layer_ = std::string(3 << 20, 'x');
  std::string manifest_digest_;
  int port_ = 0;
  std::unique_ptr<os::Pidfd> registry_;
  RegistryClient client_{RegistryOptions{}};
};

TEST_F(RealRegistryTest, GivesWhatWasPushed) {
  const auto source = Open();
  const auto by_tag = source->FetchManifest("v1", {});
  ASSERT_THAT(by_tag, IsOk());
  const auto document =
      ParseManifestDocument(by_tag->content, by_tag->descriptor.media_type);
  ASSERT_THAT(document, IsOk());
  const auto& manifest = std::get<ImageManifest>(*document);
  ASSERT_EQ(manifest.layers.size(), 2u);
  std::string got;
  ASSERT_THAT(FetchBlob(*source, manifest.layers[0], 0, &got), IsOk());
  EXPECT_EQ(DigestOf(got), manifest.layers[0].digest);
  const auto by_digest = source->FetchManifest(by_tag->descriptor.digest, {});
  ASSERT_THAT(by_digest, IsOk());
  EXPECT_EQ(by_digest->content, by_tag->content);
  // From the middle, as after a broken transfer.
  std::string rest;
  ASSERT_THAT(FetchBlob(*source, manifest.layers[0], 1000, &rest), IsOk());
  EXPECT_TRUE(rest == got.substr(1000));
}

TEST_F(RealRegistryTest, SaysWhatItDoesNotHave) {
  const auto source = Open();
  EXPECT_THAT(
      source->FetchManifest("v2", {}),
      StatusIs(absl::StatusCode::kNotFound, HasSubstr("MANIFEST_UNKNOWN")));
  std::string nothing;
  EXPECT_THAT(
      FetchBlob(*source, {"", absl::StrCat("sha256:", std::string(64, '0')), 5},
                0, &nothing),
      StatusIs(absl::StatusCode::kNotFound, HasSubstr("BLOB_UNKNOWN")));
}

TEST_F(RealRegistryTest, SkopeosDockerArchiveIsRead) {
  Skopeo({"copy", "--src-tls-verify=false",
          absl::StrCat("docker://127.0.0.1:", port_, "/team/app:v1"),
          absl::StrCat("docker-archive:", dir_ / "a.tar", ":h.io/app:v1")});
  const auto archive = ArchiveSource::Open(dir_ / "a.tar", {});
  ASSERT_THAT(archive, IsOk());
  ASSERT_EQ((*archive)->images().size(), 1u);
  EXPECT_THAT((*archive)->images()[0].names,
              ::testing::ElementsAre("h.io/app:v1"));
  const auto raw =
      (*archive)->FetchManifest((*archive)->images()[0].manifest_digest, {});
  ASSERT_THAT(raw, IsOk());
  const auto document = ParseManifestDocument(raw->content, "");
  ASSERT_THAT(document, IsOk());
  std::string got;
  ASSERT_THAT(FetchBlob(**archive, std::get<ImageManifest>(*document).layers[0],
                        0, &got),
              IsOk());
  EXPECT_TRUE(got == layer_);
}

}  // namespace
}  // namespace quoll::image
