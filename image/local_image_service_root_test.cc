// SPDX-License-Identifier: Apache-2.0
#include "image/local_image_service.h"

#include <archive.h>
#include <archive_entry.h>
#include <unistd.h>

#include <atomic>
#include <cstdlib>
#include <filesystem>
#include <memory>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/notification.h"
#include "absl/time/clock.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "image/digest.h"
#include "image/fake_image_source.h"
#include "os/files.h"
#include "tests/support/status_matchers.h"
#include "tests/support/temp_dir.h"

namespace quoll::image {
namespace {

using ::quoll::testing::IsOk;
using ::quoll::testing::StatusIs;
using ::quoll::testing::TempDir;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

// A layer with one file.
std::string Layer(const std::string& name) {
  std::vector<char> buffer(64 << 10);
  size_t used = 0;
  archive* a = archive_write_new();
  archive_write_set_format_pax_restricted(a);
  archive_write_open_memory(a, buffer.data(), buffer.size(), &used);
  archive_entry* entry = archive_entry_new();
  archive_entry_set_pathname(entry, name.c_str());
  archive_entry_set_filetype(entry, AE_IFREG);
  archive_entry_set_perm(entry, 0644);
  archive_entry_set_size(entry, static_cast<la_int64_t>(name.size()));
  archive_write_header(a, entry);
  archive_write_data(a, name.data(), name.size());
  archive_entry_free(entry);
  archive_write_free(a);
  return std::string(buffer.data(), used);
}

// Lends one FakeImageSource to every pull.
class Borrowed : public ImageSource {
 public:
  explicit Borrowed(ImageSource& source) : source_(source) {}
  absl::StatusOr<Manifest> FetchManifest(const std::string& what,
                                         const os::Call& call) override {
    return source_.FetchManifest(what, call);
  }
  absl::Status FetchBlob(const Descriptor& blob, int64_t offset,
                         const ByteSink& sink, const os::Call& call) override {
    return source_.FetchBlob(blob, offset, sink, call);
  }

 private:
  ImageSource& source_;
};

class LocalImageServiceTest : public ::testing::Test {
 protected:
  void SetUp() override {
    ASSERT_EQ(geteuid(), 0u) << "needs root";
    Start();
  }

  // As after a restart of the daemon.
  void Start() {
    service_.reset();
    layers_.reset();
    db_.reset();
    std::filesystem::create_directories(dir_ / "layers");
    auto db = os::RecordDb::Open(dir_ / "quoll.db");
    ASSERT_THAT(db, IsOk());
    db_ = *std::move(db);
    const char* programs = getenv("QUOLL_BIN_DIR");
    ASSERT_NE(programs, nullptr);
    LayerStore::Options store;
    store.root = dir_ / "layers";
    store.unpack_program = absl::StrCat(programs, "/quoll-unpack");
    layers_ = std::make_unique<LayerStore>(store, *db_);
    LocalImageService::Options options;
    options.layers_directory = dir_ / "layers";
    options.open_source = [this](const Reference&, const Credentials&) {
      ++opened_;
      return std::make_unique<Borrowed>(source_);
    };
    service_ = std::make_unique<LocalImageService>(options, *layers_, *db_,
                                                   [this] { return in_use_; });
    ASSERT_THAT(service_->Recover(), IsOk());
  }

  absl::StatusOr<ImageRecord> Pull(const std::string& name,
                                   const os::Call& call = {}) {
    return service_->Pull(name, {}, call);
  }

  size_t LayersOnDisk() {
    size_t count = 0;
    for (const auto& entry :
         std::filesystem::directory_iterator(dir_ / "layers")) {
      (void)entry;
      ++count;
    }
    return count;
  }

  TempDir dir_;
  FakeImageSource source_;
  std::atomic<int> opened_{0};
  std::set<std::string> in_use_;
  std::unique_ptr<os::RecordDb> db_;
  std::unique_ptr<LayerStore> layers_;
  std::unique_ptr<LocalImageService> service_;
};

TEST_F(LocalImageServiceTest, PullsAndFindsByEveryForm) {
  const std::string digest =
      source_.AddImage("latest", {Layer("a"), Layer("b")});
  const auto image = Pull("app");
  ASSERT_THAT(image, IsOk());
  EXPECT_THAT(image->repo_tags(), ElementsAre("docker.io/library/app:latest"));
  EXPECT_THAT(image->repo_digests(),
              ElementsAre(absl::StrCat("docker.io/library/app@", digest)));
  EXPECT_GT(image->size_bytes(), 0u);
  EXPECT_THAT(image->config().env(), ElementsAre("A=b"));
  const std::string hex = image->id().substr(7);
  for (const std::string& name :
       {std::string("app"), std::string("docker.io/library/app:latest"),
        absl::StrCat("app@", digest), absl::StrCat("app:other@", digest),
        image->id(), hex, hex.substr(0, 8),
        absl::StrCat("sha256:", hex.substr(0, 12))}) {
    EXPECT_THAT(service_->Find(name), IsOk()) << name;
  }
  EXPECT_THAT(service_->Find(hex.substr(0, 7)),
              StatusIs(absl::StatusCode::kNotFound));
  EXPECT_THAT(service_->Find("app:other"),
              StatusIs(absl::StatusCode::kNotFound));
  EXPECT_THAT(service_->Find("No Name"),
              StatusIs(absl::StatusCode::kInvalidArgument));
}

TEST_F(LocalImageServiceTest, APullByDigestGivesNoTag) {
  const std::string digest = source_.AddImage("latest", {Layer("a")});
  const auto image = Pull(absl::StrCat("app:latest@", digest));
  ASSERT_THAT(image, IsOk());
  EXPECT_THAT(image->repo_tags(), IsEmpty());
  EXPECT_THAT(image->repo_digests(),
              ElementsAre(absl::StrCat("docker.io/library/app@", digest)));
}

TEST_F(LocalImageServiceTest, AMovedTagLeavesTheOldImage) {
  source_.AddImage("latest", {Layer("a")}, "V=1");
  const auto first = Pull("app");
  ASSERT_THAT(first, IsOk());
  source_.AddImage("latest", {Layer("a")}, "V=2");
  const auto second = Pull("app");
  ASSERT_THAT(second, IsOk());
  EXPECT_EQ(service_->Find("app")->id(), second->id());
  const auto old = service_->Find(first->id());
  ASSERT_THAT(old, IsOk());
  EXPECT_THAT(old->repo_tags(), IsEmpty());
  EXPECT_EQ(service_->List().size(), 2u);
}

TEST_F(LocalImageServiceTest, AFailedPullLeavesNoRecordAndNoTemporary) {
  source_.AddImage("latest", {Layer("a"), Layer("b")});
  source_.blobs[DigestOf(Layer("b"))] = Layer("x");
  EXPECT_THAT(Pull("app"), StatusIs(absl::StatusCode::kDataLoss,
                                    HasSubstr("pull docker.io/library/app")));
  EXPECT_THAT(service_->List(), IsEmpty());
  EXPECT_LE(LayersOnDisk(), 1u);  // a may have been finished
  source_.blobs[DigestOf(Layer("b"))] = Layer("b");
  EXPECT_THAT(Pull("app"), IsOk());
}

TEST_F(LocalImageServiceTest, ConcurrentPullsShareOneTransfer) {
  source_.AddImage("latest", {Layer("a")});
  absl::Notification go;
  source_.before_blob = [&](const Descriptor&, const os::Call&) {
    go.WaitForNotification();
    return absl::OkStatus();
  };
  std::vector<std::jthread> callers;
  callers.reserve(4);
  std::atomic<int> fine{0};
  std::atomic<int> asked{0};
  for (int i = 0; i < 4; ++i) {
    callers.emplace_back([&] {
      std::atomic<bool> seen{false};
      // A caller that polls its cancellation is in the queue.
      const os::Call call{.deadline = absl::InfiniteFuture(), .cancelled = [&] {
                            if (!seen.exchange(true)) {
                              ++asked;
                            }
                            return false;
                          }};
      fine += Pull("app", call).ok() ? 1 : 0;
    });
  }
  while (asked < 4) {
    std::this_thread::yield();
  }
  go.Notify();
  callers.clear();
  EXPECT_EQ(fine, 4);
  EXPECT_EQ(source_.blob_fetches, 2);  // the config and one layer
}

TEST_F(LocalImageServiceTest, TheTransferGoesOnWhileOneCallerWaits) {
  source_.AddImage("latest", {Layer("a")});
  absl::Notification begun;
  absl::Notification go;
  source_.before_blob = [&](const Descriptor&, const os::Call&) {
    if (!begun.HasBeenNotified()) {
      begun.Notify();
      go.WaitForNotification();
    }
    return absl::OkStatus();
  };
  absl::StatusOr<ImageRecord> patient;
  std::jthread waiter([&] { patient = Pull("app"); });
  begun.WaitForNotification();
  EXPECT_THAT(Pull("app", {.deadline = absl::Now() + absl::Milliseconds(1),
                           .cancelled = {}}),
              StatusIs(absl::StatusCode::kDeadlineExceeded));
  go.Notify();
  waiter.join();
  EXPECT_THAT(patient, IsOk());
}

TEST_F(LocalImageServiceTest, TheLastCallersLeavingCancelsTheTransfer) {
  source_.AddImage("latest", {Layer("a")});
  absl::Notification cancelled;
  source_.before_blob = [&](const Descriptor&, const os::Call& call) {
    while (!call.IsCancelled()) {
      std::this_thread::yield();
    }
    cancelled.Notify();
    return absl::CancelledError("cancelled");
  };
  EXPECT_THAT(Pull("app", {.deadline = absl::InfiniteFuture(),
                           .cancelled = [] { return true; }}),
              StatusIs(absl::StatusCode::kCancelled));
  EXPECT_EQ(opened_, 0);  // nothing is begun for who has left already
  EXPECT_THAT(Pull("app", {.deadline = absl::Now() + absl::Milliseconds(20),
                           .cancelled = {}}),
              StatusIs(absl::StatusCode::kDeadlineExceeded));
  cancelled.WaitForNotification();
  EXPECT_THAT(service_->List(), IsEmpty());
}

TEST_F(LocalImageServiceTest, RemovesNamesAndLayersThatNobodyNeeds) {
  source_.AddImage("one", {Layer("shared"), Layer("1")});
  source_.AddImage("two", {Layer("shared"), Layer("2")});
  ASSERT_THAT(Pull("app:one"), IsOk());
  ASSERT_THAT(Pull("app:two"), IsOk());
  EXPECT_EQ(LayersOnDisk(), 3u);
  EXPECT_THAT(service_->Remove("app:one"), IsOk());
  EXPECT_EQ(LayersOnDisk(), 2u);
  EXPECT_FALSE(layers_->Has(DigestOf(Layer("1"))));
  EXPECT_THAT(service_->Remove("app:one"), IsOk());
  EXPECT_THAT(service_->Find("app:two"), IsOk());
  EXPECT_THAT(service_->Remove("app:two"), IsOk());
  EXPECT_EQ(LayersOnDisk(), 0u);
  EXPECT_EQ(service_->Usage().bytes, 0u);
}

TEST_F(LocalImageServiceTest, SimultaneousRemovalsAllSucceed) {
  source_.AddImage("latest", {Layer("a")});
  ASSERT_THAT(Pull("app"), IsOk());
  std::atomic<int> fine{0};
  {
    std::vector<std::jthread> callers;
    callers.reserve(4);
    for (int i = 0; i < 4; ++i) {
      callers.emplace_back([&] { fine += service_->Remove("app").ok(); });
    }
  }
  EXPECT_EQ(fine, 4);
  EXPECT_THAT(service_->List(), IsEmpty());
}

TEST_F(LocalImageServiceTest, LeasesAndContainersKeepLayers) {
  source_.AddImage("one", {Layer("1")});
  source_.AddImage("two", {Layer("2")});
  ASSERT_THAT(Pull("app:one"), IsOk());
  ASSERT_THAT(Pull("app:two"), IsOk());
  auto lease = service_->Lease("app:one");
  ASSERT_THAT(lease, IsOk());
  EXPECT_THAT(lease->layer_dirs(),
              ElementsAre(layers_->Directory(DigestOf(Layer("1")))));
  in_use_ = {layers_->Directory(DigestOf(Layer("2")))};
  EXPECT_THAT(service_->Remove("app:one"), IsOk());
  EXPECT_THAT(service_->Remove("app:two"), IsOk());
  EXPECT_TRUE(layers_->Has(DigestOf(Layer("1"))));
  EXPECT_TRUE(layers_->Has(DigestOf(Layer("2"))));
  *lease = ImageLease();
  Start();
  EXPECT_FALSE(layers_->Has(DigestOf(Layer("1"))));
  EXPECT_TRUE(layers_->Has(DigestOf(Layer("2"))));
}

TEST_F(LocalImageServiceTest, LayersOfARemovedImageGoWithTheirContainers) {
  source_.AddImage("one", {Layer("1"), Layer("2")});
  source_.AddImage("two", {Layer("2")});
  ASSERT_THAT(Pull("app:one"), IsOk());
  ASSERT_THAT(Pull("app:two"), IsOk());
  in_use_ = {layers_->Directory(DigestOf(Layer("1"))),
             layers_->Directory(DigestOf(Layer("2")))};
  ASSERT_THAT(service_->Remove("app:one"), IsOk());
  service_->ContainersGone();  // another one's
  EXPECT_TRUE(layers_->Has(DigestOf(Layer("1"))));
  in_use_ = {};
  service_->ContainersGone();
  EXPECT_FALSE(layers_->Has(DigestOf(Layer("1"))));
  EXPECT_TRUE(layers_->Has(DigestOf(Layer("2"))));
}

TEST_F(LocalImageServiceTest, NoLayerIsRemovedOnDoubt) {
  source_.AddImage("latest", {Layer("a")});
  ASSERT_THAT(Pull("app"), IsOk());
  in_use_ = {"/somewhere/else"};
  EXPECT_THAT(service_->Remove("app"), IsOk());
  EXPECT_TRUE(layers_->Has(DigestOf(Layer("a"))));
}

TEST_F(LocalImageServiceTest, EverythingIsThereAfterARestart) {
  source_.AddImage("latest", {Layer("a")});
  const auto image = Pull("app");
  ASSERT_THAT(image, IsOk());
  Start();
  const auto again = service_->Find("app");
  ASSERT_THAT(again, IsOk());
  EXPECT_EQ(again->SerializeAsString(), image->SerializeAsString());
}

TEST_F(LocalImageServiceTest, UnreadableRecordsAreSetAside) {
  ASSERT_THAT(db_->Put("images", "sha256:1", "\xff\xff"), IsOk());
  Start();
  EXPECT_THAT(service_->List(), IsEmpty());
  const auto rows = db_->LoadAll("set_aside");
  ASSERT_THAT(rows, IsOk());
  ASSERT_EQ(rows->size(), 1u);
  EXPECT_EQ(rows->front().first, "images/sha256:1");
}

TEST_F(LocalImageServiceTest, AnImageWithoutItsLayersIsDropped) {
  source_.AddImage("latest", {Layer("a")});
  ASSERT_THAT(Pull("app"), IsOk());
  ASSERT_THAT(layers_->RemoveAllBut({}), IsOk());
  Start();
  EXPECT_THAT(service_->List(), IsEmpty());
}

TEST_F(LocalImageServiceTest, LoadsAnArchive) {
  // A docker-archive as a directory of files is not a thing; an OCI layout is.
  const std::string digest = source_.AddImage("x", {Layer("a")});
  const std::string blobs = dir_ / "oci/blobs/sha256";
  std::filesystem::create_directories(blobs);
  for (const auto& [name, bytes] : source_.blobs) {
    ASSERT_THAT(
        os::WriteFileAtomically(blobs + "/" + name.substr(7), bytes, 0644),
        IsOk());
  }
  const std::string& manifest = source_.manifests[digest];
  ASSERT_THAT(
      os::WriteFileAtomically(blobs + "/" + digest.substr(7), manifest, 0644),
      IsOk());
  ASSERT_THAT(os::WriteFileAtomically(
                  dir_ / "oci/index.json",
                  absl::StrCat(R"({"manifests":[{"digest":")", digest,
                               R"(","size":)", manifest.size(), "}]}"),
                  0644),
              IsOk());
  const auto unnamed = service_->Load(dir_ / "oci", "", {});
  ASSERT_THAT(unnamed, IsOk());
  ASSERT_EQ(unnamed->size(), 1u);
  EXPECT_THAT(unnamed->front().repo_tags(), IsEmpty());
  const auto named = service_->Load(dir_ / "oci", "h.io/app:v1", {});
  ASSERT_THAT(named, IsOk());
  EXPECT_EQ(named->front().id(), unnamed->front().id());
  EXPECT_THAT(named->front().repo_tags(), ElementsAre("h.io/app:v1"));
  EXPECT_THAT(named->front().repo_digests(),
              ElementsAre(absl::StrCat("h.io/app@", digest)));
  EXPECT_EQ(service_->List().size(), 1u);
  EXPECT_THAT(service_->Load(dir_ / "oci", "Bad Name", {}),
              StatusIs(absl::StatusCode::kInvalidArgument));
}

}  // namespace
}  // namespace quoll::image
