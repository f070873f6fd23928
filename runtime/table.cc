// SPDX-License-Identifier: Apache-2.0
#include "runtime/table.h"

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"

namespace quoll::runtime {
namespace {

// Names cannot hold a slash where Kubernetes made them; where somebody else
// did, the length keeps "a/b"+"c" and "a"+"b/c" apart.
std::string Part(absl::string_view text) {
  return absl::StrCat(text.size(), ":", text);
}

const SandboxRecord& RecordOf(const Table::SandboxPtr& entry) {
  return *entry;
}
template <typename Entry>
auto RecordOf(const Entry& entry) -> decltype(*entry.record) {
  return *entry.record;
}

bool IsVisible(const SandboxRecord& record) {
  return record.phase() != state::v1::SANDBOX_CREATING;
}
bool IsVisible(const ContainerRecord& record) {
  return record.phase() != state::v1::CONTAINER_CREATING;
}

// The only visible entry whose id begins with `prefix`, or whose id it is.
template <typename Map>
absl::StatusOr<typename Map::const_iterator> FindByPrefix(
    const Map& map, absl::string_view prefix, absl::string_view noun) {
  if (prefix.empty()) {
    return absl::InvalidArgumentError(absl::StrCat(noun, " id is empty"));
  }
  auto found = map.end();
  for (auto it = map.lower_bound(prefix);
       it != map.end() && absl::StartsWith(it->first, prefix); ++it) {
    if (!IsVisible(RecordOf(it->second))) {
      continue;
    }
    if (it->first == prefix) {
      return it;
    }
    if (found != map.end()) {
      return absl::InvalidArgumentError(
          absl::StrCat(noun, " id \"", prefix, "\" is not unique (",
                       found->first, ", ", it->first, "); give more digits"));
    }
    found = it;
  }
  if (found == map.end()) {
    return absl::NotFoundError(
        absl::StrCat(noun, " \"", prefix, "\" does not exist"));
  }
  return found;
}

}  // namespace

std::string SandboxKey(const SandboxSpec& spec) {
  return absl::StrCat("sandbox ", Part(spec.namespace_()), "/",
                      Part(spec.name()), "/", Part(spec.uid()), "/",
                      spec.attempt());
}

std::string ContainerKey(const ContainerSpec& spec) {
  return absl::StrCat("container ", spec.sandbox_id(), "/", Part(spec.name()),
                      "/", spec.attempt());
}

void Table::Put(const SandboxRecord& record) {
  auto snapshot = std::make_shared<const SandboxRecord>(record);
  std::string key = SandboxKey(record.spec());
  absl::MutexLock lock(&mutex_);
  sandbox_ids_[std::move(key)] = record.id();
  sandboxes_[record.id()] = std::move(snapshot);
}

void Table::Put(const ContainerRecord& record) {
  auto snapshot = std::make_shared<const ContainerRecord>(record);
  std::string key = ContainerKey(record.spec());
  absl::MutexLock lock(&mutex_);
  container_ids_[std::move(key)] = record.id();
  containers_[record.id()].record = std::move(snapshot);
}

void Table::EraseSandbox(const std::string& id) {
  absl::MutexLock lock(&mutex_);
  const auto it = sandboxes_.find(id);
  if (it == sandboxes_.end()) {
    return;
  }
  const auto key = sandbox_ids_.find(SandboxKey(it->second->spec()));
  if (key != sandbox_ids_.end() && key->second == id) {
    sandbox_ids_.erase(key);
  }
  sandboxes_.erase(it);
}

void Table::EraseContainer(const std::string& id) {
  absl::MutexLock lock(&mutex_);
  const auto it = containers_.find(id);
  if (it == containers_.end()) {
    return;
  }
  const auto key = container_ids_.find(ContainerKey(it->second.record->spec()));
  if (key != container_ids_.end() && key->second == id) {
    container_ids_.erase(key);
  }
  containers_.erase(it);
}

Table::SandboxPtr Table::Sandbox(const std::string& id) const {
  absl::MutexLock lock(&mutex_);
  const auto it = sandboxes_.find(id);
  return it == sandboxes_.end() ? nullptr : it->second;
}

Table::ContainerPtr Table::Container(const std::string& id) const {
  absl::MutexLock lock(&mutex_);
  const auto it = containers_.find(id);
  return it == containers_.end() ? nullptr : it->second.record;
}

Table::SandboxPtr Table::SandboxByKey(const std::string& key) const {
  absl::MutexLock lock(&mutex_);
  const auto it = sandbox_ids_.find(key);
  return it == sandbox_ids_.end() ? nullptr : sandboxes_.at(it->second);
}

Table::ContainerPtr Table::ContainerByKey(const std::string& key) const {
  absl::MutexLock lock(&mutex_);
  const auto it = container_ids_.find(key);
  return it == container_ids_.end() ? nullptr
                                    : containers_.at(it->second).record;
}

absl::StatusOr<Table::SandboxPtr> Table::FindSandbox(
    absl::string_view prefix) const {
  absl::MutexLock lock(&mutex_);
  const auto it = FindByPrefix(sandboxes_, prefix, "sandbox");
  if (!it.ok()) {
    return it.status();
  }
  return (*it)->second;
}

absl::StatusOr<Table::ContainerPtr> Table::FindContainer(
    absl::string_view prefix) const {
  absl::MutexLock lock(&mutex_);
  const auto it = FindByPrefix(containers_, prefix, "container");
  if (!it.ok()) {
    return it.status();
  }
  return (*it)->second.record;
}

std::vector<Table::SandboxPtr> Table::Sandboxes() const {
  std::vector<SandboxPtr> all;
  absl::MutexLock lock(&mutex_);
  all.reserve(sandboxes_.size());
  for (const auto& [id, record] : sandboxes_) {
    all.push_back(record);
  }
  return all;
}

std::vector<Table::ContainerPtr> Table::Containers() const {
  std::vector<ContainerPtr> all;
  absl::MutexLock lock(&mutex_);
  all.reserve(containers_.size());
  for (const auto& [id, entry] : containers_) {
    all.push_back(entry.record);
  }
  return all;
}

std::vector<Table::ContainerPtr> Table::ContainersOf(
    const std::string& sandbox_id) const {
  std::vector<ContainerPtr> all;
  absl::MutexLock lock(&mutex_);
  for (const auto& [id, entry] : containers_) {
    if (entry.record->spec().sandbox_id() == sandbox_id) {
      all.push_back(entry.record);
    }
  }
  return all;
}

std::shared_ptr<Ending> Table::EndingOf(const std::string& container_id) const {
  absl::MutexLock lock(&mutex_);
  const auto it = containers_.find(container_id);
  return it == containers_.end() ? nullptr : it->second.ending;
}

}  // namespace quoll::runtime
