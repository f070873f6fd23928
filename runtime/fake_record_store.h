// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <map>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"

#include "runtime/record_store.h"

namespace quoll::runtime {

// Records in memory, serialised as on the disk. Passes the same contract as
// SqliteRecordStore. Thread-safe.
class FakeRecordStore : public RecordStore {
 public:
  absl::Status PutSandbox(const SandboxRecord& record) override {
    absl::MutexLock lock(&mutex_);
    sandboxes_[record.id()] = record;
    return absl::OkStatus();
  }
  absl::Status DeleteSandbox(absl::string_view id) override {
    absl::MutexLock lock(&mutex_);
    sandboxes_.erase(std::string(id));
    return absl::OkStatus();
  }
  absl::Status PutContainer(const ContainerRecord& record) override {
    absl::MutexLock lock(&mutex_);
    containers_[record.id()] = record;
    return absl::OkStatus();
  }
  absl::Status DeleteContainer(absl::string_view id) override {
    absl::MutexLock lock(&mutex_);
    containers_.erase(std::string(id));
    return absl::OkStatus();
  }
  absl::StatusOr<Loaded> LoadAll() override {
    absl::MutexLock lock(&mutex_);
    Loaded loaded;
    for (const auto& [id, record] : sandboxes_) {
      loaded.sandboxes.push_back(record);
    }
    for (const auto& [id, record] : containers_) {
      loaded.containers.push_back(record);
    }
    loaded.unreadable = unreadable_;
    return loaded;
  }

  void SetUnreadable(std::vector<std::string> ids) {
    absl::MutexLock lock(&mutex_);
    unreadable_ = std::move(ids);
  }

 private:
  absl::Mutex mutex_;
  std::map<std::string, SandboxRecord> sandboxes_ ABSL_GUARDED_BY(mutex_);
  std::map<std::string, ContainerRecord> containers_ ABSL_GUARDED_BY(mutex_);
  std::vector<std::string> unreadable_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace quoll::runtime
