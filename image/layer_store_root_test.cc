// SPDX-License-Identifier: Apache-2.0
#include "image/layer_store.h"

#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "os/files.h"
#include "os/unique_fd.h"
#include "tests/support/compress.h"
#include "tests/support/status_matchers.h"
#include "tests/support/tar_builder.h"
#include "tests/support/temp_dir.h"

#include <openssl/evp.h>

namespace quoll::image {
namespace {

using ::absl::StatusCode;
using ::quoll::testing::Gzip;
using ::quoll::testing::IsOk;
using ::quoll::testing::IsOkAndHolds;
using ::quoll::testing::StatusIs;
using ::quoll::testing::TarBuilder;
using ::quoll::testing::TempDir;
using ::quoll::testing::Zstd;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

std::string DiffId(const std::string& tar) {
  unsigned char digest[EVP_MAX_MD_SIZE];
  unsigned int size = 0;
  EXPECT_EQ(
      EVP_Digest(tar.data(), tar.size(), digest, &size, EVP_sha256(), nullptr),
      1);
  return absl::StrCat("sha256:", absl::BytesToHexString(absl::string_view(
                                     reinterpret_cast<char*>(digest), size)));
}

std::string Hex(const std::string& diff_id) {
  return diff_id.substr(7);
}

class LayerStoreRootTest : public ::testing::Test {
 protected:
  void SetUp() override {
    if (geteuid() != 0) {
      GTEST_SKIP() << "needs root";
    }
    absl::StatusOr<std::unique_ptr<os::RecordDb>> db =
        os::RecordDb::Open(dir_ / "quoll.db");
    ASSERT_THAT(db, IsOk());
    db_ = *std::move(db);
    options_.root = dir_ / "layers";
    const char* const bin = getenv("QUOLL_BIN_DIR");
    options_.unpack_program =
        absl::StrCat(bin == nullptr ? "." : bin, "/quoll-unpack");
    Restart();
    ASSERT_THAT(store_->Recover(), IsOk());
  }

  // A new store on the same disk, as after a restart; not yet recovered.
  void Restart() { store_ = std::make_unique<LayerStore>(options_, *db_); }

  absl::Status Unpack(const std::string& tar, const std::string& stream,
                      const os::Call& call = {}) {
    auto writer = store_->Begin(DiffId(tar), call);
    if (!writer.ok()) {
      return writer.status();
    }
    // In pieces that fit nothing.
    for (size_t at = 0; at < stream.size(); at += 1000) {
      const absl::Status status = (*writer)->Append(stream.substr(at, 1000));
      if (!status.ok()) {
        return status;
      }
    }
    return (*writer)->Commit();
  }
  absl::Status Unpack(const std::string& tar) { return Unpack(tar, tar); }

  std::vector<std::string> Names() {
    auto names = os::ListDirectory(options_.root);
    EXPECT_THAT(names, IsOk());
    return names.ok() ? *names : std::vector<std::string>();
  }

  TempDir dir_;
  std::unique_ptr<os::RecordDb> db_;
  LayerStore::Options options_;
  std::unique_ptr<LayerStore> store_;
};

TEST_F(LayerStoreRootTest, KeepsLayersOverARestart) {
  const std::string tar = TarBuilder().File("a/f", "hello").Finish();
  const std::string other = TarBuilder().Directory(".").Finish();
  ASSERT_THAT(Unpack(tar, Gzip(tar)), IsOk());
  ASSERT_THAT(Unpack(other, Zstd(other)), IsOk());
  Restart();
  EXPECT_FALSE(store_->Has(DiffId(tar)));
  ASSERT_THAT(store_->Recover(), IsOk());
  EXPECT_TRUE(store_->Has(DiffId(tar)));
  EXPECT_THAT(os::ReadFile(store_->Directory(DiffId(tar)) + "/a/f"),
              IsOkAndHolds("hello"));
  EXPECT_THAT(store_->ImpliedDirectories(DiffId(tar)),
              IsOkAndHolds(ElementsAre(".", "a")));
  EXPECT_THAT(store_->ImpliedDirectories(DiffId(other)),
              IsOkAndHolds(IsEmpty()));
  const auto record = store_->Get(DiffId(tar));
  ASSERT_THAT(record, IsOk());
  EXPECT_EQ(record->inodes(), 3u);
  EXPECT_GT(record->size_bytes(), 0u);
  EXPECT_EQ(store_->TotalUsage().inodes, 4u);
  EXPECT_THAT(Names(), SizeIs(2));
}

TEST_F(LayerStoreRootTest, RefusesContentOfAnotherDiffId) {
  const std::string tar = TarBuilder().File("f", "a").Finish();
  const std::string other = TarBuilder().File("f", "b").Finish();
  EXPECT_THAT(Unpack(tar, Gzip(other)),
              StatusIs(StatusCode::kDataLoss, HasSubstr(DiffId(other))));
  EXPECT_THAT(Names(), IsEmpty());
  EXPECT_FALSE(store_->Has(DiffId(tar)));
}

TEST_F(LayerStoreRootTest, RefusesNamesThatAreNoDiffIds) {
  for (const char* name : {"", "sha256:", "sha256:../../etc", "abc"}) {
    EXPECT_THAT(store_->Begin(name, {}),
                StatusIs(StatusCode::kInvalidArgument));
    EXPECT_THAT(store_->Get(name), StatusIs(StatusCode::kNotFound));
  }
}

TEST_F(LayerStoreRootTest, ErrorsOfTheUnpackerComeBackInItsWords) {
  const std::string evil = TarBuilder().File("../f", "x").Finish();
  EXPECT_THAT(Unpack(evil),
              StatusIs(StatusCode::kInvalidArgument, HasSubstr("'..'")));
  // Early in a long stream: the writer is told before the end.
  const std::string tar = TarBuilder()
                              .File("../f", "x")
                              .File("g", std::string(20 << 20, 'x'))
                              .Finish();
  auto writer = store_->Begin(DiffId(tar), {});
  ASSERT_THAT(writer, IsOk());
  const absl::Status status = (*writer)->Append(tar);
  EXPECT_THAT(status, StatusIs(StatusCode::kInvalidArgument));
  EXPECT_THAT((*writer)->Append("more"), StatusIs(status.code()));
  EXPECT_THAT((*writer)->Commit(), StatusIs(status.code()));
  writer->reset();
  const std::string gzip = Gzip(tar);
  EXPECT_THAT(Unpack(tar, gzip.substr(0, gzip.size() / 2)),
              StatusIs(StatusCode::kInvalidArgument));
  EXPECT_THAT(Names(), IsEmpty());
}

TEST_F(LayerStoreRootTest, TruncatedStreamsAreNotCommitted) {
  const std::string tar =
      TarBuilder().File("f", std::string(100'000, 'x')).Finish();
  EXPECT_THAT(Unpack(tar, tar.substr(0, 50'000)),
              StatusIs(StatusCode::kInvalidArgument, HasSubstr("middle")));
  const std::string gzip = Gzip(tar);
  EXPECT_THAT(Unpack(tar, gzip.substr(0, gzip.size() - 1)),
              StatusIs(StatusCode::kDataLoss));
  // A whole archive, but not all of the stream.
  EXPECT_THAT(Unpack(tar, tar.substr(0, tar.size() - 512)),
              StatusIs(StatusCode::kDataLoss));
  EXPECT_THAT(Names(), IsEmpty());
}

TEST_F(LayerStoreRootTest, AbandonedWritersLeaveNothing) {
  const std::string tar = TarBuilder().File("f", "x").Finish();
  {
    auto writer = store_->Begin(DiffId(tar), {});
    ASSERT_THAT(writer, IsOk());
    EXPECT_THAT((*writer)->Append(tar), IsOk());
    EXPECT_THAT(Names(), SizeIs(1));
  }
  EXPECT_THAT(Names(), IsEmpty());
}

TEST_F(LayerStoreRootTest, HonoursDeadlineAndCancellation) {
  // A program that neither reads nor ends.
  const std::string sleeper = dir_ / "sleeper";
  std::ofstream(sleeper) << "#!/bin/sh\nexec sleep 1000\n";
  ASSERT_EQ(chmod(sleeper.c_str(), 0755), 0);
  options_.unpack_program = sleeper;
  Restart();
  const std::string big(8 << 20, 'x');
  os::Call late;
  late.deadline = absl::Now() + absl::Milliseconds(200);
  EXPECT_THAT(Unpack("a", big, late), StatusIs(StatusCode::kDeadlineExceeded));
  EXPECT_THAT(Unpack("a", "", late), StatusIs(StatusCode::kDeadlineExceeded));
  os::Call cancelled;
  int asked = 0;
  cancelled.cancelled = [&] { return ++asked > 2; };
  EXPECT_THAT(Unpack("a", big, cancelled), StatusIs(StatusCode::kCancelled));
  options_.stall_limit = absl::Milliseconds(100);
  Restart();
  EXPECT_THAT(Unpack("a", big), StatusIs(StatusCode::kUnavailable));
  EXPECT_THAT(Names(), IsEmpty());
}

TEST_F(LayerStoreRootTest, ReportsAProgramThatIsMissingOrDies) {
  options_.unpack_program = dir_ / "nothing";
  Restart();
  EXPECT_FALSE(Unpack("a").ok());
  const std::string killer = dir_ / "killer";
  std::ofstream(killer) << "#!/bin/sh\nkill -SEGV $$\n";
  ASSERT_EQ(chmod(killer.c_str(), 0755), 0);
  options_.unpack_program = killer;
  Restart();
  EXPECT_THAT(Unpack("a"),
              StatusIs(StatusCode::kInternal, HasSubstr("signal 11")));
  EXPECT_THAT(Names(), IsEmpty());
}

TEST_F(LayerStoreRootTest, TwoWritersOfOneLayer) {
  const std::string tar =
      TarBuilder().File("f", std::string(1 << 20, 'x')).Finish();
  std::vector<std::thread> threads;
  std::vector<absl::Status> results(4);
  for (absl::Status& result : results) {
    threads.emplace_back([&] { result = Unpack(tar); });
  }
  for (std::thread& thread : threads) {
    thread.join();
  }
  for (const absl::Status& result : results) {
    EXPECT_THAT(result, IsOk());
  }
  EXPECT_THAT(Names(), ElementsAre(Hex(DiffId(tar))));
}

// A daemon that is killed between any two steps.
TEST_F(LayerStoreRootTest, RecoverRepairsHalfStates) {
  const std::string tar = TarBuilder().File("f", "x").Finish();
  const std::string gone = TarBuilder().File("g", "x").Finish();
  ASSERT_THAT(Unpack(tar), IsOk());
  ASSERT_THAT(Unpack(gone), IsOk());
  // Renamed but not recorded; recorded but not there; unfinished; and what is
  // not ours.
  ASSERT_THAT(db_->Delete("layers", DiffId(tar)), IsOk());
  ASSERT_THAT(os::RemoveTree(options_.root + "/" + Hex(DiffId(gone))), IsOk());
  ASSERT_THAT(os::MakeDirectories(options_.root + "/.tmp-1/fs/a", 0755),
              IsOk());
  ASSERT_THAT(os::MakeDirectories(options_.root + "/.tmp-2", 0755), IsOk());
  ASSERT_THAT(os::MakeDirectories(options_.root + "/lost+found", 0755), IsOk());
  // No facts in it: nobody knows what it is.
  const std::string odd(64, 'e');
  ASSERT_THAT(os::MakeDirectories(options_.root + "/" + odd + "/fs", 0755),
              IsOk());
  Restart();
  ASSERT_THAT(store_->Recover(), IsOk());
  EXPECT_TRUE(store_->Has(DiffId(tar)));
  EXPECT_FALSE(store_->Has(DiffId(gone)));
  EXPECT_FALSE(store_->Has("sha256:" + odd));
  EXPECT_THAT(db_->LoadAll("layers"), IsOkAndHolds(SizeIs(1)));
  EXPECT_THAT(Names(), ::testing::UnorderedElementsAre(Hex(DiffId(tar)), odd,
                                                       "lost+found"));
  EXPECT_EQ(store_->TotalUsage().inodes, 2u);
  ASSERT_THAT(Unpack(gone), IsOk());
}

TEST_F(LayerStoreRootTest, UnreadableRecordIsMadeAnew) {
  const std::string tar = TarBuilder().File("f", "x").Finish();
  ASSERT_THAT(Unpack(tar), IsOk());
  ASSERT_THAT(db_->Put("layers", DiffId(tar), "\xff\xff"), IsOk());
  Restart();
  ASSERT_THAT(store_->Recover(), IsOk());
  EXPECT_TRUE(store_->Has(DiffId(tar)));
  EXPECT_EQ(store_->TotalUsage().inodes, 2u);
}

// The process outlives its daemon for a moment: a new daemon waits for it.
TEST_F(LayerStoreRootTest, RecoverWaitsForAnUnpackerThatStillRuns) {
  const std::string fs = options_.root + "/.tmp-running/fs";
  ASSERT_THAT(os::MakeDirectories(fs, 0755), IsOk());
  os::UniqueFd lock(open(fs.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  ASSERT_EQ(flock(lock.get(), LOCK_EX | LOCK_NB), 0);
  Restart();
  std::thread recovery([&] { EXPECT_THAT(store_->Recover(), IsOk()); });
  lock = os::UniqueFd();
  recovery.join();
  EXPECT_THAT(Names(), IsEmpty());
}

TEST_F(LayerStoreRootTest, KilledWriterIsSeenByTheUnpacker) {
  const std::string tar = TarBuilder().File("f", "x").Finish();
  int status = 0;
  const pid_t daemon = fork();
  if (daemon == 0) {
    LayerStore store(options_, *db_);
    auto writer = store.Begin(DiffId(tar), {});
    // The whole layer, but the end is not announced.
    const bool sent = writer.ok() && (*writer)->Append(tar).ok();
    _exit(sent ? 0 : 1);
  }
  ASSERT_EQ(waitpid(daemon, &status, 0), daemon);
  ASSERT_EQ(status, 0);
  Restart();
  ASSERT_THAT(store_->Recover(), IsOk());
  EXPECT_FALSE(store_->Has(DiffId(tar)));
  EXPECT_THAT(Names(), IsEmpty());
}

TEST_F(LayerStoreRootTest, RemoveAllBut) {
  const std::string a = TarBuilder().File("a", "x").Finish();
  const std::string b = TarBuilder().File("b", "x").Finish();
  ASSERT_THAT(Unpack(a), IsOk());
  ASSERT_THAT(Unpack(b), IsOk());
  ASSERT_THAT(store_->RemoveAllBut({DiffId(b), "sha256:unknown"}), IsOk());
  EXPECT_FALSE(store_->Has(DiffId(a)));
  EXPECT_TRUE(store_->Has(DiffId(b)));
  EXPECT_THAT(Names(), ElementsAre(Hex(DiffId(b))));
  EXPECT_THAT(db_->LoadAll("layers"), IsOkAndHolds(SizeIs(1)));
  ASSERT_THAT(Unpack(a), IsOk());
}

// What a container sees of two layers, in a mount namespace of its own.
TEST_F(LayerStoreRootTest, OverlayOfTwoLayers) {
  const std::string lower = TarBuilder()
                                .Directory("d")
                                .File("d/old", "old")
                                .Directory("e")
                                .File("e/old", "old")
                                .Directory("r")
                                .File("r/old", "old")
                                .File("hidden", "x")
                                .File("kept", "kept")
                                .Finish();
  const std::string upper = TarBuilder()
                                .Whiteout("hidden")
                                .Opaque("d")
                                .File("d/new", "new")
                                .File("e/new", "new")
                                .Whiteout("r")
                                .Directory("r")
                                .File("r/new", "new")
                                .Finish();
  ASSERT_THAT(Unpack(lower, Gzip(lower)), IsOk());
  ASSERT_THAT(Unpack(upper, Zstd(upper)), IsOk());
  const std::string merged = dir_ / "merged";
  ASSERT_EQ(mkdir(merged.c_str(), 0755), 0);
  const std::string data =
      absl::StrCat("lowerdir=", store_->Directory(DiffId(upper)), ":",
                   store_->Directory(DiffId(lower)));
  const pid_t child = fork();
  if (child == 0) {
    namespace fs = std::filesystem;
    if (unshare(CLONE_NEWNS) != 0 ||
        mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0 ||
        mount("overlay", merged.c_str(), "overlay", MS_RDONLY, data.c_str()) !=
            0) {
      _exit(100);
    }
    const std::pair<const char*, bool> expected[] = {
        {"/hidden", false}, {"/kept", true},  {"/d/old", false},
        {"/d/new", true},   {"/e/old", true}, {"/e/new", true},
        {"/r/old", false},  {"/r/new", true}};
    int index = 1;
    for (const auto& [path, there] : expected) {
      if (fs::exists(merged + path) != there) {
        _exit(index);
      }
      ++index;
    }
    _exit(0);
  }
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_EQ(WEXITSTATUS(status), 0);
}

}  // namespace
}  // namespace quoll::image
