// SPDX-License-Identifier: Apache-2.0
#include <string>
#include <vector>

#include "absl/strings/escaping.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "cri/fake_services.h"
#include "cri/rpcs.h"
#include "tests/support/status_matchers.h"

namespace quoll::cri {
namespace {

using ::quoll::testing::IsOk;
using ::quoll::testing::StatusIs;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::StartsWith;

constexpr char kNginxId[] =
    "sha256:1111111111111111111111111111111111111111111111111111111111111111";
constexpr char kOtherId[] =
    "sha256:2222222222222222222222222222222222222222222222222222222222222222";

class ImageTest : public ::testing::Test {
 protected:
  ImageTest() {
    image::ImageRecord nginx;
    nginx.set_id(kNginxId);
    nginx.add_repo_tags("docker.io/library/nginx:1");
    nginx.add_repo_digests("docker.io/library/nginx@sha256:aa");
    nginx.set_size_bytes(12345);
    nginx.set_config_json("{\"architecture\":\"amd64\"}");
    nginx.add_diff_ids("sha256:bb");
    fake_.images.records.push_back(nginx);
    image::ImageRecord other;
    other.set_id(kOtherId);
    fake_.images.records.push_back(other);
  }

  absl::Status Pull(const std::string& name) {
    pull_.mutable_image()->set_image(name);
    return PullImage(fake_.all, {}, pull_, &pulled_);
  }
  absl::Status Look(const std::string& name, bool verbose = false) {
    criv1::ImageStatusRequest request;
    request.mutable_image()->set_image(name);
    request.set_verbose(verbose);
    status_.Clear();
    return ImageStatus(fake_.all, {}, request, &status_);
  }

  FakeBackends fake_;
  criv1::PullImageRequest pull_;
  criv1::PullImageResponse pulled_;
  criv1::ImageStatusResponse status_;
};

TEST_F(ImageTest, PullGivesTheId) {
  ASSERT_THAT(Pull("docker.io/library/nginx:1"), IsOk());
  EXPECT_EQ(pulled_.image_ref(), kNginxId);
  EXPECT_TRUE(fake_.images.credentials.empty());
}

TEST_F(ImageTest, PullMarksARegistryThatIsAway) {
  fake_.images.error = absl::UnavailableError("pull nginx: connect refused");
  EXPECT_THAT(Pull("nginx"),
              StatusIs(absl::StatusCode::kUnknown,
                       "RegistryUnavailable: pull nginx: connect refused"));
}

TEST_F(ImageTest, PullKeepsOtherErrors) {
  for (const absl::Status& error :
       {absl::NotFoundError("no tag"), absl::PermissionDeniedError("no"),
        absl::DataLossError("digest"), absl::DeadlineExceededError("late"),
        absl::CancelledError("left"), absl::ResourceExhaustedError("full")}) {
    fake_.images.error = error;
    EXPECT_EQ(Pull("nginx"), error);
  }
}

TEST_F(ImageTest, PullRefusesNamesThatNoImageCanHave) {
  for (const std::string name :
       {"", "Nginx", "nginx:", "nginx@sha256:12", "a b", "http://x/y",
        "../etc/passwd", "nginx:1\n", "-nginx", "reg:port/x", kNginxId}) {
    fake_.images.on_pull = [](const os::Call&) {
      ADD_FAILURE() << "pulled";
      return absl::InternalError("");
    };
    EXPECT_THAT(Pull(name), StatusIs(absl::StatusCode::kInvalidArgument))
        << name;
  }
}

TEST_F(ImageTest, PullPassesTheCallersDeadlineOn) {
  absl::Time seen;
  fake_.images.on_pull = [&seen](const os::Call& call) {
    seen = call.deadline;
    return absl::DeadlineExceededError("late");
  };
  os::Call call;
  call.deadline = absl::FromUnixSeconds(1);
  pull_.mutable_image()->set_image("nginx");
  EXPECT_THAT(PullImage(fake_.all, call, pull_, &pulled_),
              StatusIs(absl::StatusCode::kDeadlineExceeded));
  EXPECT_EQ(seen, call.deadline);
}

TEST_F(ImageTest, PullShowsCredentialsOnlyToTheirServer) {
  criv1::AuthConfig& auth = *pull_.mutable_auth();
  auth.set_username("me");
  auth.set_password("secret");
  auth.set_server_address("https://reg.example/v2/");
  fake_.images.error = absl::NotFoundError("none");
  EXPECT_THAT(Pull("reg.example/a:1"), StatusIs(absl::StatusCode::kNotFound));
  EXPECT_EQ(fake_.images.credentials.username, "me");
  EXPECT_EQ(fake_.images.credentials.password, "secret");
  EXPECT_THAT(Pull("other.example/a:1"), StatusIs(absl::StatusCode::kNotFound));
  EXPECT_TRUE(fake_.images.credentials.empty());
}

TEST_F(ImageTest, PullSaysWhatIsWrongWithAuthWithoutRepeatingIt) {
  pull_.mutable_auth()->set_auth("*hunter2*");
  EXPECT_THAT(Pull("nginx"),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       ::testing::AllOf(StartsWith("auth.auth is not base64"),
                                        ::testing::Not(HasSubstr("hunter")))));
}

TEST_F(ImageTest, StatusOfAnUnknownImageIsOkAndEmpty) {
  ASSERT_THAT(Look("docker.io/library/unknown:1"), IsOk());
  EXPECT_FALSE(status_.has_image());
  EXPECT_THAT(Look(""), StatusIs(absl::StatusCode::kInvalidArgument,
                                 HasSubstr("image.image is empty")));
  fake_.images.error = absl::InvalidArgumentError("malformed");
  EXPECT_THAT(Look("Nginx"),
              StatusIs(absl::StatusCode::kInvalidArgument, "malformed"));
}

TEST_F(ImageTest, StatusHasEveryField) {
  ASSERT_THAT(Look(kNginxId, /*verbose=*/true), IsOk());
  const criv1::Image& image = status_.image();
  EXPECT_EQ(image.id(), kNginxId);
  EXPECT_THAT(image.repo_tags(), ElementsAre("docker.io/library/nginx:1"));
  EXPECT_THAT(image.repo_digests(),
              ElementsAre("docker.io/library/nginx@sha256:aa"));
  EXPECT_EQ(image.size(), 12345u);
  EXPECT_TRUE(image.pinned());  // by the configuration
  EXPECT_THAT(status_.info().at("info"),
              HasSubstr("\"architecture\": \"amd64\""));
  ASSERT_THAT(Look(kOtherId), IsOk());
  EXPECT_FALSE(status_.image().pinned());
  EXPECT_TRUE(status_.info().empty());
  fake_.images.records[1].set_pinned(true);  // by the record
  ASSERT_THAT(Look(kOtherId), IsOk());
  EXPECT_TRUE(status_.image().pinned());
}

TEST_F(ImageTest, UserOfTheImageIsANumberOrAName) {
  struct Case {
    std::string user;
    int64_t uid;  // -1: none
    std::string name;
  };
  const Case cases[] = {
      {"", -1, ""},
      {"0", 0, ""},
      {"1000", 1000, ""},
      {"1000:2000", 1000, ""},
      {"1000:www", 1000, ""},
      {"www", -1, "www"},
      {"www:2000", -1, "www"},
      {"-1", -1, "-1"},
      {"99999999999999999999", -1, "99999999999999999999"},
      {":5", -1, ""},
  };
  for (const Case& each : cases) {
    fake_.images.records[0].mutable_config()->set_user(each.user);
    ASSERT_THAT(Look(kNginxId), IsOk());
    EXPECT_EQ(status_.image().has_uid(), each.uid >= 0) << each.user;
    EXPECT_EQ(status_.image().uid().value(), std::max<int64_t>(each.uid, 0))
        << each.user;
    EXPECT_EQ(status_.image().username(), each.name) << each.user;
  }
}

TEST_F(ImageTest, ListFiltersByName) {
  const auto list = [this](const std::string& name) {
    criv1::ListImagesRequest request;
    request.mutable_filter()->mutable_image()->set_image(name);
    criv1::ListImagesResponse response;
    EXPECT_THAT(ListImages(fake_.all, {}, request, &response), IsOk());
    std::vector<std::string> ids;
    for (const criv1::Image& image : response.images()) {
      ids.push_back(image.id());
    }
    return ids;
  };
  EXPECT_THAT(list(""), ElementsAre(kNginxId, kOtherId));
  EXPECT_THAT(list("docker.io/library/nginx:1"), ElementsAre(kNginxId));
  EXPECT_THAT(list("docker.io/library/none:1"), IsEmpty());
  criv1::ListImagesRequest request;
  request.mutable_filter()->mutable_image()->set_image("Nginx");
  criv1::ListImagesResponse response;
  fake_.images.error = absl::InvalidArgumentError("malformed");
  EXPECT_THAT(ListImages(fake_.all, {}, request, &response),
              StatusIs(absl::StatusCode::kInvalidArgument));
}

TEST_F(ImageTest, RemoveHandsTheNameOn) {
  criv1::RemoveImageRequest request;
  criv1::RemoveImageResponse response;
  EXPECT_THAT(RemoveImage(fake_.all, {}, request, &response),
              StatusIs(absl::StatusCode::kInvalidArgument));
  request.mutable_image()->set_image("nginx");
  EXPECT_THAT(RemoveImage(fake_.all, {}, request, &response), IsOk());
  EXPECT_THAT(RemoveImage(fake_.all, {}, request, &response), IsOk());
  EXPECT_THAT(fake_.images.removed, ElementsAre("nginx", "nginx"));
}

TEST_F(ImageTest, FsInfoTellsImagesAndContainersApart) {
  criv1::ImageFsInfoResponse response;
  ASSERT_THAT(ImageFsInfo(fake_.all, {}, {}, &response), IsOk());
  ASSERT_EQ(response.image_filesystems_size(), 1);
  const criv1::FilesystemUsage& images = response.image_filesystems(0);
  EXPECT_EQ(images.fs_id().mountpoint(), "/layers");
  EXPECT_EQ(images.used_bytes().value(), 5u);
  EXPECT_EQ(images.inodes_used().value(), 6u);
  EXPECT_GT(images.timestamp(), 0);
  ASSERT_EQ(response.container_filesystems_size(), 1);
  const criv1::FilesystemUsage& containers = response.container_filesystems(0);
  EXPECT_EQ(containers.fs_id().mountpoint(), "/containers");
  EXPECT_EQ(containers.used_bytes().value(), 7u);
  EXPECT_EQ(containers.inodes_used().value(), 8u);
}

TEST_F(ImageTest, LoadTakesAnAbsolutePath) {
  opv1::LoadImageRequest request;
  opv1::LoadImageResponse response;
  EXPECT_THAT(
      LoadImage(fake_.all, {}, request, &response),
      StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("path is empty")));
  request.set_path("image.tar");
  EXPECT_THAT(LoadImage(fake_.all, {}, request, &response),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("path \"image.tar\" must be absolute")));
  request.set_path("/tmp/image.tar");
  request.set_name("nginx:2");
  ASSERT_THAT(LoadImage(fake_.all, {}, request, &response), IsOk());
  EXPECT_EQ(fake_.images.loaded_path, "/tmp/image.tar");
  EXPECT_EQ(fake_.images.loaded_name, "nginx:2");
  ASSERT_EQ(response.images_size(), 2);
  EXPECT_EQ(response.images(0).id(), kNginxId);
  EXPECT_THAT(response.images(0).repo_tags(),
              ElementsAre("docker.io/library/nginx:1"));
  EXPECT_EQ(response.images(0).size_bytes(), 12345u);
}

}  // namespace
}  // namespace quoll::cri
