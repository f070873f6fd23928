// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <memory>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "runtime/record_store.h"

namespace quoll::runtime {

// What every RecordStore does. `reopen` gives the store of the same records as
// a new daemon would see it.
inline void CheckRecordStoreContract(
    const std::function<RecordStore&()>& reopen) {
  SandboxRecord sandbox;
  sandbox.set_format(1);
  sandbox.set_id("s1");
  sandbox.mutable_spec()->set_name("web");
  ContainerRecord container;
  container.set_format(1);
  container.set_id("c1");
  RecordStore* store = &reopen();
  EXPECT_TRUE(store->LoadAll()->sandboxes.empty());
  EXPECT_TRUE(store->PutSandbox(sandbox).ok());
  sandbox.set_phase(state::v1::SANDBOX_READY);
  EXPECT_TRUE(store->PutSandbox(sandbox).ok());
  EXPECT_TRUE(store->PutContainer(container).ok());
  store = &reopen();
  auto loaded = store->LoadAll();
  ASSERT_TRUE(loaded.ok()) << loaded.status();
  ASSERT_EQ(loaded->sandboxes.size(), 1u);
  EXPECT_EQ(loaded->sandboxes[0].SerializeAsString(),
            sandbox.SerializeAsString());
  ASSERT_EQ(loaded->containers.size(), 1u);
  EXPECT_TRUE(loaded->unreadable.empty());
  EXPECT_TRUE(store->DeleteSandbox("s1").ok());
  EXPECT_TRUE(store->DeleteSandbox("s1").ok());
  EXPECT_TRUE(store->DeleteContainer("c1").ok());
  store = &reopen();
  loaded = store->LoadAll();
  EXPECT_TRUE(loaded->sandboxes.empty());
  EXPECT_TRUE(loaded->containers.empty());
}

}  // namespace quoll::runtime
