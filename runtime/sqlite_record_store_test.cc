// SPDX-License-Identifier: Apache-2.0
#include "runtime/sqlite_record_store.h"

#include <memory>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "runtime/fake_record_store.h"
#include "runtime/record_store_contract.h"
#include "tests/support/status_matchers.h"
#include "tests/support/temp_dir.h"

namespace quoll::runtime {
namespace {

using ::quoll::testing::IsOk;
using ::testing::SizeIs;
using ::testing::UnorderedElementsAre;

TEST(RecordStoreTest, FakeKeepsTheContract) {
  FakeRecordStore store;
  CheckRecordStoreContract([&]() -> RecordStore& { return store; });
}

TEST(RecordStoreTest, SqliteKeepsTheContract) {
  testing::TempDir dir;
  std::unique_ptr<os::RecordDb> db;
  std::unique_ptr<SqliteRecordStore> store;
  CheckRecordStoreContract([&]() -> RecordStore& {
    store.reset();
    db.reset();
    db = *os::RecordDb::Open(dir / "quoll.db");
    store = std::make_unique<SqliteRecordStore>(*db);
    return *store;
  });
}

TEST(RecordStoreTest, WhatCannotBeReadIsSetAsideAndKept) {
  testing::TempDir dir;
  auto db = os::RecordDb::Open(dir / "quoll.db");
  ASSERT_THAT(db, IsOk());
  ASSERT_THAT((*db)->Put("sandboxes", "broken", "\xff\xff garbage"), IsOk());
  SandboxRecord future;
  future.set_format(7);
  future.set_id("future");
  ASSERT_THAT((*db)->Put("sandboxes", "future", future.SerializeAsString()),
              IsOk());
  ASSERT_THAT((*db)->Put("containers", "renamed", future.SerializeAsString()),
              IsOk());
  SqliteRecordStore store(**db);
  for (int i = 0; i < 2; ++i) {  // said each time
    auto loaded = store.LoadAll();
    ASSERT_THAT(loaded, IsOk());
    EXPECT_TRUE(loaded->sandboxes.empty());
    EXPECT_THAT(loaded->unreadable,
                UnorderedElementsAre("broken", "future", "renamed"));
  }
  EXPECT_THAT(*(*db)->LoadAll("set_aside"), SizeIs(3));
  EXPECT_EQ(*(*db)->Get("set_aside", "sandboxes/broken"), "\xff\xff garbage");
}

}  // namespace
}  // namespace quoll::runtime
