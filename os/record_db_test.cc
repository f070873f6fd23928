// SPDX-License-Identifier: Apache-2.0
#include "os/record_db.h"

#include <sqlite3.h>
#include <sys/stat.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace quoll::os {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Pair;

class RecordDbTest : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = ::testing::TempDir() + "/record_db.XXXXXX";
    ASSERT_NE(mkdtemp(pattern.data()), nullptr);
    dir_ = pattern;
    path_ = dir_ + "/quoll.db";
  }
  void TearDown() override { std::filesystem::remove_all(dir_); }

  std::unique_ptr<RecordDb> Open() {
    auto db = RecordDb::Open(path_);
    EXPECT_TRUE(db.ok()) << db.status();
    return db.ok() ? *std::move(db) : nullptr;
  }

  std::string FileContent() {
    std::ifstream in(path_, std::ios::binary);
    std::stringstream text;
    text << in.rdbuf();
    return text.str();
  }

  std::string dir_;
  std::string path_;
};

TEST_F(RecordDbTest, KeepsRecordsAcrossAReopen) {
  {
    auto db = Open();
    ASSERT_TRUE(db->Put("pods", "b", std::string("\0\1", 2)).ok());
    ASSERT_TRUE(db->Put("pods", "a", "old").ok());
    ASSERT_TRUE(db->Put("pods", "a", "").ok());
    ASSERT_TRUE(db->Put("pods", "gone", "x").ok());
    ASSERT_TRUE(db->Delete("pods", "gone").ok());
  }
  auto db = Open();
  auto rows = db->LoadAll("pods");
  ASSERT_TRUE(rows.ok()) << rows.status();
  EXPECT_THAT(*rows,
              ElementsAre(Pair("a", ""), Pair("b", std::string("\0\1", 2))));
  EXPECT_EQ(*db->Get("pods", "b"), std::string("\0\1", 2));
}

TEST_F(RecordDbTest, AbsentThingsAreEmptyOrNotFound) {
  auto db = Open();
  EXPECT_THAT(*db->LoadAll("nothing"), IsEmpty());
  EXPECT_TRUE(absl::IsNotFound(db->Get("nothing", "k").status()));
  EXPECT_TRUE(db->Delete("nothing", "k").ok());
  EXPECT_TRUE(absl::IsNotFound(db->Get("nothing", "k").status()));
}

TEST_F(RecordDbTest, RefusesTableNamesThatAreNotPlain) {
  auto db = Open();
  EXPECT_TRUE(absl::IsInvalidArgument(db->Put("a;b", "k", "v")));
  EXPECT_TRUE(absl::IsInvalidArgument(db->LoadAll("").status()));
}

TEST_F(RecordDbTest, AppliesAllChangesOrNone) {
  auto db = Open();
  ASSERT_TRUE(db->Put("t", "k", "1").ok());
  ASSERT_TRUE(db->Apply({{"t", "k", "2", false}, {"u", "k", "3", false}}).ok());
  EXPECT_FALSE(
      db->Apply({{"t", "k", "4", false}, {"bad name", "k", "", false}}).ok());
  // "sqlite_master" passes as a name and is refused by SQLite itself.
  EXPECT_FALSE(
      db->Apply({{"t", "k", "5", false}, {"sqlite_master", "k", "", false}})
          .ok());
  EXPECT_EQ(*db->Get("t", "k"), "2");
  EXPECT_EQ(*db->Get("u", "k"), "3");
  EXPECT_TRUE(db->Put("t", "k", "6").ok());
}

TEST_F(RecordDbTest, ManyWritersAtOnce) {
  auto db = Open();
  std::vector<std::thread> writers;
  for (int w = 0; w < 16; ++w) {
    writers.emplace_back([&db, w] {
      for (int i = 0; i < 20; ++i) {
        EXPECT_TRUE(db->Put("t", absl::StrCat(w, "/", i), "value").ok());
      }
    });
  }
  for (std::thread& writer : writers) {
    writer.join();
  }
  EXPECT_EQ(db->LoadAll("t")->size(), 320u);
}

TEST_F(RecordDbTest, OneWriterPerFile) {
  auto db = Open();
  auto second = RecordDb::Open(path_);
  EXPECT_TRUE(absl::IsFailedPrecondition(second.status())) << second.status();
  EXPECT_THAT(std::string(second.status().message()),
              HasSubstr("already running"));
  db.reset();
  EXPECT_TRUE(RecordDb::Open(path_).ok());
}

TEST_F(RecordDbTest, OnlyTheOwnerMayReadIt) {
  auto db = Open();
  ASSERT_TRUE(db->Put("t", "k", "v").ok());
  for (const char* suffix : {"", "-wal", "-shm"}) {
    struct stat info {};
    ASSERT_EQ(stat((path_ + suffix).c_str(), &info), 0) << suffix;
    EXPECT_EQ(info.st_mode & 0777, 0600u) << suffix;
  }
}

TEST_F(RecordDbTest, LeavesAFileThatIsNoDatabaseAsItIs) {
  const std::string garbage(8192, 'x');
  std::ofstream(path_) << garbage;
  auto db = RecordDb::Open(path_);
  EXPECT_TRUE(absl::IsDataLoss(db.status())) << db.status();
  EXPECT_THAT(std::string(db.status().message()), HasSubstr(path_));
  EXPECT_EQ(FileContent(), garbage);
}

TEST_F(RecordDbTest, FindsADamagedPage) {
  {
    auto db = Open();
    for (int i = 0; i < 200; ++i) {
      ASSERT_TRUE(db->Put("t", absl::StrCat(i), std::string(500, 'v')).ok());
    }
  }
  const auto size = std::filesystem::file_size(path_);
  {
    std::fstream file(path_, std::ios::in | std::ios::out | std::ios::binary);
    file.seekp(4096);
    file << std::string(size - 4096, '\xff');
  }
  EXPECT_TRUE(absl::IsDataLoss(RecordDb::Open(path_).status()));
}

TEST_F(RecordDbTest, RefusesAnotherFormatAndAForeignDatabase) {
  Open().reset();
  sqlite3* raw = nullptr;
  ASSERT_EQ(sqlite3_open(path_.c_str(), &raw), SQLITE_OK);
  sqlite3_exec(raw, "PRAGMA user_version = 99", nullptr, nullptr, nullptr);
  sqlite3_close(raw);
  EXPECT_TRUE(absl::IsFailedPrecondition(RecordDb::Open(path_).status()));

  const std::string foreign = dir_ + "/foreign.db";
  ASSERT_EQ(sqlite3_open(foreign.c_str(), &raw), SQLITE_OK);
  sqlite3_exec(raw, "CREATE TABLE mail (x)", nullptr, nullptr, nullptr);
  sqlite3_close(raw);
  EXPECT_TRUE(absl::IsDataLoss(RecordDb::Open(foreign).status()));
}

TEST_F(RecordDbTest, NamesTheFileThatCannotBeOpened) {
  auto db = RecordDb::Open(dir_ + "/absent/quoll.db");
  EXPECT_FALSE(db.ok());
  EXPECT_THAT(std::string(db.status().message()), HasSubstr("absent"));
}

}  // namespace
}  // namespace quoll::os
