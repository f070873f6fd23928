// SPDX-License-Identifier: Apache-2.0
#include "image/image_table.h"

#include <algorithm>
#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "absl/time/time.h"

#include "image/reference.h"
#include "os/random_id.h"
#include "os/status_macros.h"
#include "spdlog/spdlog.h"

namespace quoll::image {
namespace {

constexpr char kTable[] = "images";
constexpr char kSetAsideTable[] = "set_aside";
constexpr uint32_t kFormat = 1;
constexpr size_t kMinIdPrefix = 8;
constexpr size_t kIdDigits = 64;
using Names = google::protobuf::RepeatedPtrField<std::string>;

bool Contains(const Names& names, const std::string& name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

void AddNames(const Names& from, Names* to) {
  for (const std::string& name : from) {
    if (!Contains(*to, name)) {
      *to->Add() = name;
    }
  }
  std::sort(to->begin(), to->end());
}

// True when something was taken away.
bool TakeNames(const Names& names, Names* from) {
  const auto end = std::remove_if(
      from->begin(), from->end(),
      [&](const std::string& name) { return Contains(names, name); });
  const bool taken = end != from->end();
  from->erase(end, from->end());
  return taken;
}

os::RecordDb::Change PutChange(const ImageRecord& image) {
  return {.table = kTable,
          .key = image.id(),
          .value = image.SerializeAsString(),
          .erase = false};
}

os::RecordDb::Change EraseChange(const std::string& id) {
  return {.table = kTable, .key = id, .value = "", .erase = true};
}

// The hex digits of what may be an id or the beginning of one; else "".
absl::string_view IdDigits(absl::string_view reference) {
  absl::ConsumePrefix(&reference, "sha256:");
  return reference.size() >= kMinIdPrefix && os::IsHexId(reference)
             ? reference
             : absl::string_view();
}

}  // namespace

ImageTable::ImageTable(os::RecordDb& db) : db_(db) {}

absl::Status ImageTable::Load(
    const std::function<bool(const ImageRecord&)>& usable) {
  QUOLL_ASSIGN_OR_RETURN(const os::KeyedMutex::Lock operation,
                         changes_.Acquire(kTable, absl::InfiniteFuture()));
  QUOLL_ASSIGN_OR_RETURN(const auto rows, db_.LoadAll(kTable));
  std::map<std::string, ImageRecord> images;
  std::vector<os::RecordDb::Change> changes;
  for (const auto& [key, value] : rows) {
    ImageRecord image;
    if (!image.ParseFromString(value) || image.format() != kFormat ||
        image.id() != key || !IsDigest(key)) {
      spdlog::error(
          "image record {}: cannot be read (format {}); set aside in table "
          "{}, pull the image again",
          absl::CEscape(key), image.format(), kSetAsideTable);
      changes.push_back({.table = kSetAsideTable,
                         .key = absl::StrCat(kTable, "/", key),
                         .value = value,
                         .erase = false});
      changes.push_back(EraseChange(key));
    } else if (!usable(image)) {
      spdlog::warn("image {}: its layers are not in the store; dropped", key);
      changes.push_back(EraseChange(key));
    } else {
      images.emplace(key, std::move(image));
    }
  }
  if (!changes.empty()) {
    QUOLL_RETURN_IF_ERROR(db_.Apply(std::move(changes)));
  }
  absl::MutexLock lock(&mutex_);
  images_ = std::move(images);
  return absl::OkStatus();
}

absl::StatusOr<ImageRecord> ImageTable::Commit(const ImageRecord& image) {
  QUOLL_ASSIGN_OR_RETURN(const os::KeyedMutex::Lock operation,
                         changes_.Acquire(kTable, absl::InfiniteFuture()));
  ImageRecord merged = image;
  merged.set_format(kFormat);
  std::vector<ImageRecord> changed;
  {
    absl::MutexLock lock(&mutex_);
    if (const auto it = images_.find(image.id()); it != images_.end()) {
      AddNames(it->second.repo_tags(), merged.mutable_repo_tags());
      AddNames(it->second.repo_digests(), merged.mutable_repo_digests());
      merged.set_pinned(it->second.pinned() || image.pinned());
      merged.set_created_at_ns(it->second.created_at_ns());
    }
    for (const auto& [id, other] : images_) {
      ImageRecord robbed = other;
      if (id != image.id() &&
          TakeNames(image.repo_tags(), robbed.mutable_repo_tags())) {
        changed.push_back(std::move(robbed));
      }
    }
  }
  changed.push_back(merged);
  std::vector<os::RecordDb::Change> changes;
  changes.reserve(changed.size());
  for (const ImageRecord& record : changed) {
    changes.push_back(PutChange(record));
  }
  QUOLL_RETURN_IF_ERROR(db_.Apply(std::move(changes)));
  absl::MutexLock lock(&mutex_);
  for (ImageRecord& record : changed) {
    const std::string id = record.id();
    images_[id] = std::move(record);
  }
  return merged;
}

absl::StatusOr<ImageRecord> ImageTable::Find(
    const std::string& reference) const {
  const absl::string_view digits = IdDigits(reference);
  const bool only_id =
      digits.size() == kIdDigits || absl::StartsWith(reference, "sha256:");
  const absl::StatusOr<Reference> name = ParseReference(reference);
  if (digits.empty() && !name.ok()) {
    return name.status();
  }
  absl::MutexLock lock(&mutex_);
  if (name.ok() && !only_id) {
    for (const auto& [id, image] : images_) {
      // With a digest the tag is only a remark, as it is for Docker.
      if (name->digest.empty()
              ? Contains(image.repo_tags(), name->Tagged())
              : Contains(image.repo_digests(), name->Digested())) {
        return image;
      }
    }
  }
  if (!digits.empty()) {
    const std::string prefix = absl::StrCat("sha256:", digits);
    const auto first = images_.lower_bound(prefix);
    if (first != images_.end() && absl::StartsWith(first->first, prefix)) {
      const auto second = std::next(first);
      if (second != images_.end() && absl::StartsWith(second->first, prefix)) {
        return absl::InvalidArgumentError(
            absl::StrCat("image id ", digits,
                         "... stands for several images; give more digits"));
      }
      return first->second;
    }
  }
  return absl::NotFoundError(
      absl::StrCat("image ", reference, " is not on this node"));
}

bool ImageTable::Has(const std::string& id) const {
  absl::MutexLock lock(&mutex_);
  return images_.count(id) > 0;
}

std::vector<ImageRecord> ImageTable::List() const {
  absl::MutexLock lock(&mutex_);
  std::vector<ImageRecord> images;
  images.reserve(images_.size());
  for (const auto& [id, image] : images_) {
    images.push_back(image);
  }
  return images;
}

absl::Status ImageTable::Remove(const std::string& id) {
  QUOLL_ASSIGN_OR_RETURN(const os::KeyedMutex::Lock operation,
                         changes_.Acquire(kTable, absl::InfiniteFuture()));
  QUOLL_RETURN_IF_ERROR(db_.Delete(kTable, id));
  absl::MutexLock lock(&mutex_);
  images_.erase(id);
  return absl::OkStatus();
}

std::set<std::string> ImageTable::Layers() const {
  absl::MutexLock lock(&mutex_);
  std::set<std::string> layers;
  for (const auto& [id, image] : images_) {
    layers.insert(image.diff_ids().begin(), image.diff_ids().end());
  }
  return layers;
}

}  // namespace quoll::image
