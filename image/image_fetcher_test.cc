// SPDX-License-Identifier: Apache-2.0
#include "image/image_fetcher.h"

#include <atomic>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "absl/synchronization/notification.h"
#include "absl/time/clock.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "image/digest.h"
#include "image/fake_image_source.h"
#include "tests/support/status_matchers.h"

namespace quoll::image {
namespace {

using ::quoll::testing::IsOk;
using ::quoll::testing::StatusIs;
using ::testing::HasSubstr;

// A layer store in memory that holds plain layers.
class MemoryLayers {
 public:
  LayerTarget Target() {
    return {.has =
                [this](const std::string& diff_id) {
                  absl::MutexLock lock(&mutex_);
                  return layers_.count(diff_id) > 0;
                },
            .begin = [this](const std::string& diff_id, const os::Call&)
                -> absl::StatusOr<std::unique_ptr<LayerWriter>> {
              ++begun;
              return std::make_unique<Writer>(this, diff_id);
            }};
  }
  size_t size() {
    absl::MutexLock lock(&mutex_);
    return layers_.size();
  }

  std::atomic<int> begun{0};
  absl::Status append_error;

 private:
  class Writer : public LayerWriter {
   public:
    Writer(MemoryLayers* owner, std::string diff_id)
        : owner_(owner), diff_id_(std::move(diff_id)) {}
    absl::Status Append(absl::string_view chunk) override {
      hash_.Update(chunk);
      return owner_->append_error;
    }
    absl::Status Commit() override {
      if (hash_.Finish() != diff_id_) {
        return absl::DataLossError("diff id");
      }
      absl::MutexLock lock(&owner_->mutex_);
      owner_->layers_.insert(diff_id_);
      return absl::OkStatus();
    }

   private:
    MemoryLayers* owner_;
    std::string diff_id_;
    Sha256 hash_;
  };

  absl::Mutex mutex_;
  std::set<std::string> layers_;
};

class ImageFetcherTest : public ::testing::Test {
 protected:
  absl::StatusOr<FetchedImage> Fetch(const std::string& what,
                                     const os::Call& call = {}) {
    return fetcher_.Fetch(
        source_, what,
        [](const std::vector<std::string>&) { return absl::OkStatus(); }, call);
  }

  FakeImageSource source_;
  MemoryLayers layers_;
  ImageFetcher fetcher_{{}, layers_.Target()};
};

TEST_F(ImageFetcherTest, BringsEveryLayerOnce) {
  const std::string digest =
      source_.AddImage("latest", {"one", "two", "one", "three"});
  const auto image = Fetch("latest");
  ASSERT_THAT(image, IsOk());
  EXPECT_EQ(image->manifest_digest, digest);
  EXPECT_EQ(image->image_id, DigestOf(image->config_json));
  EXPECT_EQ(image->config.diff_ids.size(), 4u);
  EXPECT_EQ(layers_.size(), 3u);
  EXPECT_EQ(layers_.begun, 3);
}

TEST_F(ImageFetcherTest, DoesNotFetchWhatIsThere) {
  source_.AddImage("v1", {"one", "two"});
  source_.AddImage("v2", {"one", "two", "three"});
  ASSERT_THAT(Fetch("v1"), IsOk());
  ASSERT_THAT(Fetch("v2"), IsOk());
  EXPECT_EQ(layers_.begun, 3);
}

TEST_F(ImageFetcherTest, FollowsAnIndexToThisPlatform) {
  const std::string digest = source_.AddImage("", {"one"});
  const std::string index = source_.AddManifest(
      "latest",
      absl::StrCat(R"({"schemaVersion":2,"manifests":[{"mediaType":")",
                   "application/vnd.oci.image.manifest.v1+json",
                   R"(","digest":")", digest, R"(","size":)",
                   source_.manifests[digest].size(),
                   R"(,"platform":{"os":"linux","architecture":")",
                   HostPlatform().architecture, R"("}}]})"));
  const auto image = Fetch("latest");
  ASSERT_THAT(image, IsOk());
  EXPECT_EQ(image->manifest_digest, index);
}

TEST_F(ImageFetcherTest, RefusesAManifestThatIsNotWhatWasAskedFor) {
  source_.AddImage("latest", {"one"});
  const std::string wanted = absl::StrCat("sha256:", std::string(64, '0'));
  source_.manifests[wanted] = source_.manifests["latest"];
  EXPECT_THAT(Fetch(wanted),
              StatusIs(absl::StatusCode::kDataLoss, HasSubstr("instead of")));
}

TEST_F(ImageFetcherTest, RefusesChangedConfig) {
  source_.AddImage("latest", {});
  ASSERT_EQ(source_.blobs.size(), 1u);
  source_.blobs.begin()->second += " ";
  EXPECT_THAT(Fetch("latest"),
              StatusIs(absl::StatusCode::kDataLoss, HasSubstr("config")));
}

TEST_F(ImageFetcherTest, RefusesLayerOfSameSizeWithOtherBytes) {
  source_.AddImage("latest", {"one"});
  source_.blobs[DigestOf("one")] = "two";
  EXPECT_THAT(Fetch("latest"),
              StatusIs(absl::StatusCode::kDataLoss, HasSubstr("layer 1 of 1")));
  EXPECT_EQ(layers_.size(), 0u);
}

TEST_F(ImageFetcherTest, RefusesShortAndLongLayers) {
  source_.AddImage("latest", {"one"});
  source_.blobs[DigestOf("one")] = "on";
  EXPECT_THAT(Fetch("latest"), StatusIs(absl::StatusCode::kDataLoss,
                                        HasSubstr("instead of the 3")));
  source_.blobs[DigestOf("one")] = "onex";
  EXPECT_THAT(Fetch("latest"),
              StatusIs(absl::StatusCode::kDataLoss, HasSubstr("more bytes")));
}

TEST_F(ImageFetcherTest, BrokenBytesExplainAFailedUnpack) {
  source_.AddImage("latest", {"one"});
  layers_.append_error = absl::InvalidArgumentError("bad tar");
  EXPECT_THAT(Fetch("latest"), StatusIs(absl::StatusCode::kInvalidArgument,
                                        HasSubstr("bad tar")));
  source_.blobs[DigestOf("one")] = "two";
  EXPECT_THAT(Fetch("latest"),
              StatusIs(absl::StatusCode::kDataLoss, HasSubstr("instead of")));
}

TEST_F(ImageFetcherTest, TheFirstErrorCancelsTheOtherLayers) {
  source_.AddImage("latest", {"bad", "waits"});
  absl::Notification waiting;
  source_.before_blob = [&](const Descriptor& blob,
                            const os::Call& call) -> absl::Status {
    if (blob.digest == DigestOf("bad")) {
      waiting.WaitForNotification();
      return absl::PermissionDeniedError("no");
    }
    if (blob.digest == DigestOf("waits")) {
      waiting.Notify();
      while (!call.IsCancelled()) {
        absl::SleepFor(absl::Milliseconds(1));
      }
      return absl::CancelledError("cancelled");
    }
    return absl::OkStatus();
  };
  EXPECT_THAT(Fetch("latest"), StatusIs(absl::StatusCode::kPermissionDenied));
}

TEST_F(ImageFetcherTest, TwoFetchesShareALayer) {
  source_.AddImage("a", {"shared"}, "A=a");
  source_.AddImage("b", {"shared"}, "A=b");
  absl::StatusOr<FetchedImage> a;
  {
    const std::jthread other([&] { a = Fetch("a"); });
    EXPECT_THAT(Fetch("b"), IsOk());
  }
  EXPECT_THAT(a, IsOk());
  EXPECT_EQ(layers_.begun, 1);
}

TEST_F(ImageFetcherTest, StopsBeforeLayersWhenTheyCannotBeKept) {
  source_.AddImage("latest", {"one"});
  const auto image =
      fetcher_.Fetch(source_, "latest",
                     [](const std::vector<std::string>& diff_ids) {
                       EXPECT_EQ(diff_ids.size(), 1u);
                       return absl::CancelledError("enough");
                     },
                     {});
  EXPECT_THAT(image, StatusIs(absl::StatusCode::kCancelled));
  EXPECT_EQ(layers_.begun, 0);
}

}  // namespace
}  // namespace quoll::image
