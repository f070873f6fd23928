// SPDX-License-Identifier: Apache-2.0
#include "image/local_image_service.h"

#include <algorithm>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"

#include "image/archive_source.h"
#include "image/digest.h"
#include "image/waiting.h"
#include "os/annotate.h"
#include "os/status_macros.h"
#include "spdlog/spdlog.h"

namespace quoll::image {
namespace {

constexpr char kCollecting[] = "layers";

// Tells credentials apart without keeping them: one caller's pull must not
// succeed on another one's password.
std::string Fingerprint(const Credentials& credentials) {
  std::string text;
  for (const std::string* part :
       {&credentials.username, &credentials.password,
        &credentials.identity_token, &credentials.registry_token}) {
    absl::StrAppend(&text, part->size(), ":", *part);
  }
  return DigestOf(text);
}

// The diff id whose directory `directory` is. The path holds the id's digits,
// as every run of 64 hex digits in it is tried; "" when none fits.
std::string DiffIdOfDirectory(const LayerStore& layers,
                              const std::string& directory) {
  constexpr size_t kDigits = 64;
  size_t run = 0;
  for (size_t i = 0; i < directory.size(); ++i) {
    run = absl::ascii_isxdigit(directory[i]) ? run + 1 : 0;
    if (run >= kDigits) {
      std::string diff_id =
          absl::StrCat("sha256:", directory.substr(i + 1 - kDigits, kDigits));
      if (layers.Directory(diff_id) == directory) {
        return diff_id;
      }
    }
  }
  return "";
}

LayerTarget TargetOf(LayerStore& layers) {
  return {
      .has = [&](const std::string& diff_id) { return layers.Has(diff_id); },
      .begin =
          [&](const std::string& diff_id, const os::Call& call) {
            return layers.Begin(diff_id, call);
          }};
}

}  // namespace

LocalImageService::LocalImageService(Options options, LayerStore& layers,
                                     os::RecordDb& db,
                                     LayersInUse layers_in_use)
    : options_(std::move(options)),
      layers_(layers),
      layers_in_use_(std::move(layers_in_use)),
      registry_(options_.registry),
      table_(db),
      fetcher_(options_.fetch, TargetOf(layers)) {}

LocalImageService::~LocalImageService() = default;

absl::Status LocalImageService::Recover() {
  QUOLL_RETURN_IF_ERROR(os::Annotate(layers_.Recover(), "recover layers"));
  QUOLL_RETURN_IF_ERROR(
      os::Annotate(table_.Load([this](const ImageRecord& image) {
        return std::all_of(image.diff_ids().begin(), image.diff_ids().end(),
                           [this](const std::string& diff_id) {
                             return layers_.Has(diff_id);
                           });
      }),
                   "recover images"));
  if (const absl::Status collected = CollectGarbage(); !collected.ok()) {
    spdlog::warn("layers that nobody needs are still there: {}",
                 collected.ToString());
  }
  return absl::OkStatus();
}

absl::StatusOr<ImageRecord> LocalImageService::Pull(
    const std::string& reference, const Credentials& credentials,
    const os::Call& call) {
  QUOLL_ASSIGN_OR_RETURN(Reference parsed, ParseReference(reference));
  const std::string subject = absl::StrCat("pull ", parsed.ToString());
  absl::StatusOr<ImageRecord> image = flights_.Join(
      absl::StrCat(parsed.ToString(), " ", Fingerprint(credentials)),
      [this, parsed, credentials](const os::Call& work_call) {
        return PullNow(parsed, credentials, work_call);
      },
      call);
  if (!image.ok()) {
    return os::Annotate(image.status(), subject);
  }
  return image;
}

absl::StatusOr<ImageRecord> LocalImageService::PullNow(
    const Reference& reference, const Credentials& credentials,
    const os::Call& call) {
  const std::unique_ptr<ImageSource> source =
      options_.open_source ? options_.open_source(reference, credentials)
                           : registry_.Open(reference, credentials);
  Names names{.tags = {}, .repositories = {reference.Name()}};
  if (!reference.digest.empty()) {
    // NAME:TAG@DIGEST means the digest; what the tag is now is not known.
    return Bring(*source, reference.digest, names, call);
  }
  names.tags.insert(reference.Tagged());
  return Bring(*source, reference.tag, names, call);
}

absl::StatusOr<ImageRecord> LocalImageService::Bring(
    ImageSource& source, const std::string& tag_or_digest, const Names& names,
    const os::Call& call) {
  std::shared_ptr<void> pin;  // until the record is written
  const auto layers_known =
      [&](const std::vector<std::string>& diff_ids) -> absl::Status {
    pin = pins_.Pin(diff_ids);
    // A collection that began before the pin does not know of it: let it end
    // before the store is asked what it has.
    return AcquireFor(collecting_, kCollecting, call).status();
  };
  QUOLL_ASSIGN_OR_RETURN(
      const FetchedImage fetched,
      fetcher_.Fetch(source, tag_or_digest, layers_known, call));
  QUOLL_ASSIGN_OR_RETURN(const ImageRecord record, MakeRecord(fetched, names));
  QUOLL_RETURN_IF_ERROR(CheckCall(call));
  absl::StatusOr<ImageRecord> committed = table_.Commit(record);
  if (!committed.ok()) {
    return os::Annotate(committed.status(), "record the image");
  }
  return committed;
}

absl::StatusOr<ImageRecord> LocalImageService::MakeRecord(
    const FetchedImage& image, const Names& names) const {
  ImageRecord record;
  record.set_format(1);
  record.set_id(image.image_id);
  record.mutable_repo_tags()->Assign(names.tags.begin(), names.tags.end());
  for (const std::string& repository : names.repositories) {
    record.add_repo_digests(
        absl::StrCat(repository, "@", image.manifest_digest));
  }
  record.set_config_json(image.config_json);
  *record.mutable_config() = image.config.config;
  record.set_created_at_ns(absl::ToUnixNanos(absl::Now()));
  uint64_t size = image.config_json.size();
  std::set<std::string> counted;
  for (const std::string& diff_id : image.config.diff_ids) {
    record.add_diff_ids(diff_id);
    if (counted.insert(diff_id).second) {
      QUOLL_ASSIGN_OR_RETURN(const LayerRecord layer, layers_.Get(diff_id));
      size += layer.size_bytes();
    }
  }
  record.set_size_bytes(size);
  return record;
}

// `called` as an archive or a user wrote it. Only a manifest that a registry
// would know, too, makes a repo digest.
absl::StatusOr<LocalImageService::Names> LocalImageService::NamesFor(
    const std::vector<std::string>& called, bool original_manifest) {
  Names names;
  for (const std::string& text : called) {
    QUOLL_ASSIGN_OR_RETURN(const Reference reference, ParseReference(text));
    if (reference.digest.empty()) {
      names.tags.insert(reference.Tagged());
    }
    if (original_manifest) {
      names.repositories.insert(reference.Name());
    }
  }
  return names;
}

absl::StatusOr<std::vector<ImageRecord>> LocalImageService::Load(
    const std::string& path, const std::string& name, const os::Call& call) {
  if (!name.empty()) {
    QUOLL_RETURN_IF_ERROR(ParseReference(name).status());
  }
  QUOLL_ASSIGN_OR_RETURN(const std::unique_ptr<ArchiveSource> source,
                         ArchiveSource::Open(path, call));
  // Several platforms may stand side by side at the top.
  std::vector<ArchivedImage> images;
  for (const ArchivedImage& image : source->images()) {
    if (!image.platform || Runs(*image.platform, options_.fetch.platform)) {
      images.push_back(image);
    }
  }
  if (images.empty()) {
    return absl::NotFoundError(absl::StrCat(
        path, ": no image for ", options_.fetch.platform.ToString()));
  }
  if (!name.empty() && images.size() > 1) {
    return absl::InvalidArgumentError(
        absl::StrCat(path, ": it holds ", images.size(),
                     " images, so one name cannot be given"));
  }
  std::vector<ImageRecord> loaded;
  for (const ArchivedImage& image : images) {
    const std::vector<std::string> called =
        name.empty() ? image.names : std::vector<std::string>{name};
    const absl::StatusOr<Names> names =
        NamesFor(called, image.original_manifest);
    if (!names.ok()) {
      return os::Annotate(names.status(), absl::StrCat("load ", path));
    }
    absl::StatusOr<ImageRecord> record =
        Bring(*source, image.manifest_digest, *names, call);
    if (!record.ok()) {
      return os::Annotate(record.status(), absl::StrCat("load ", path));
    }
    loaded.push_back(*std::move(record));
  }
  return loaded;
}

absl::StatusOr<ImageRecord> LocalImageService::Find(
    const std::string& reference) const {
  return table_.Find(reference);
}

absl::StatusOr<ImageLease> LocalImageService::Lease(
    const std::string& reference) {
  QUOLL_ASSIGN_OR_RETURN(ImageRecord image, table_.Find(reference));
  std::shared_ptr<void> pin =
      pins_.Pin({image.diff_ids().begin(), image.diff_ids().end()});
  // Removed between the look-up and the pin: its layers may be going already.
  if (!table_.Has(image.id())) {
    return absl::NotFoundError(
        absl::StrCat("image ", reference, " has just been removed"));
  }
  std::vector<std::string> directories;
  for (const std::string& diff_id : image.diff_ids()) {
    directories.push_back(layers_.Directory(diff_id));
  }
  return ImageLease(std::move(image), std::move(directories), std::move(pin));
}

std::vector<ImageRecord> LocalImageService::List() const {
  return table_.List();
}

absl::Status LocalImageService::Remove(const std::string& reference) {
  const absl::StatusOr<ImageRecord> image = table_.Find(reference);
  if (absl::IsNotFound(image.status())) {
    return absl::OkStatus();
  }
  QUOLL_RETURN_IF_ERROR(image.status());
  QUOLL_RETURN_IF_ERROR(os::Annotate(
      table_.Remove(image->id()), absl::StrCat("remove image ", image->id())));
  // The image is gone for good; layers that could not be removed cost disk
  // space until the next collection, and are no reason to say that it is not.
  if (const absl::Status collected = CollectGarbage(); !collected.ok()) {
    spdlog::warn("image {}: removed, but not all of its layers: {}",
                 image->id(), collected.ToString());
  }
  return absl::OkStatus();
}

void LocalImageService::ContainersGone() {
  if (!layers_owed_) {
    return;
  }
  if (const absl::Status collected = CollectGarbage(); !collected.ok()) {
    spdlog::warn("layers of removed images are still there: {}",
                 collected.ToString());
  }
}

ImageService::FsUsage LocalImageService::Usage() const {
  const LayerStore::Usage usage = layers_.TotalUsage();
  return {.mountpoint = options_.layers_directory,
          .bytes = usage.bytes,
          .inodes = usage.inodes};
}

absl::StatusOr<std::set<std::string>> LocalImageService::DiffIdsInUse() const {
  std::set<std::string> diff_ids;
  QUOLL_ASSIGN_OR_RETURN(const std::set<std::string> directories,
                         layers_in_use_());
  for (const std::string& directory : directories) {
    std::string diff_id = DiffIdOfDirectory(layers_, directory);
    if (diff_id.empty()) {
      return absl::InternalError(
          absl::StrCat("a container stands on ", directory,
                       ", which is no layer of this store; no layer is "
                       "removed on doubt"));
    }
    diff_ids.insert(std::move(diff_id));
  }
  return diff_ids;
}

// Without one lock over everything, the order of the four looks is what makes
// this safe. A pull's layers go from pin to record, so pins are read before
// records. A lease finds a record, then pins; if the record was gone when we
// looked, then the pin was there before that, hence pins again. A lease ends
// after its container was written down, hence containers last.
absl::Status LocalImageService::CollectGarbage() {
  QUOLL_ASSIGN_OR_RETURN(
      const os::KeyedMutex::Lock lock,
      collecting_.Acquire(kCollecting, absl::InfiniteFuture()));
  // Before the looks: what goes away after we have seen it finds this set.
  layers_owed_ = true;
  std::set<std::string> held = pins_.Pinned();
  const std::set<std::string> of_images = table_.Layers();
  held.merge(pins_.Pinned());
  QUOLL_ASSIGN_OR_RETURN(std::set<std::string> in_use, DiffIdsInUse());
  held.merge(in_use);
  std::set<std::string> keep = of_images;
  keep.insert(held.begin(), held.end());
  QUOLL_RETURN_IF_ERROR(layers_.RemoveAllBut(keep));
  layers_owed_ = keep.size() > of_images.size();
  return absl::OkStatus();
}

}  // namespace quoll::image
