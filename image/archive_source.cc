// SPDX-License-Identifier: Apache-2.0
#include "image/archive_source.h"

#include <algorithm>
#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"

#include "image/bounded_json.h"
#include "image/digest.h"
#include "image/reference.h"
#include "nlohmann/json.hpp"
#include "os/annotate.h"
#include "os/status_macros.h"

namespace quoll::image {
namespace {

using nlohmann::json;

constexpr char kOciIndexFile[] = "index.json";
constexpr char kDockerFile[] = "manifest.json";
constexpr char kDockerManifestType[] =
    "application/vnd.docker.distribution.manifest.v2+json";
constexpr size_t kMaxImages = 1000;
constexpr size_t kMaxNames = 1000;

// OCI's own annotation may hold a whole name or just a tag ("latest"); only a
// whole one says what the image is called.
std::vector<std::string> NamesOf(
    const std::map<std::string, std::string>& annotations) {
  if (const auto it = annotations.find("io.containerd.image.name");
      it != annotations.end()) {
    return {it->second};
  }
  const auto it = annotations.find("org.opencontainers.image.ref.name");
  if (it != annotations.end() &&
      it->second.find_first_of("/:@") != std::string::npos) {
    return {it->second};
  }
  return {};
}

absl::StatusOr<std::vector<std::string>> Strings(const json& object,
                                                 const char* key,
                                                 size_t limit) {
  std::vector<std::string> strings;
  const auto it = object.find(key);
  if (it == object.end() || it->is_null()) {
    return strings;
  }
  if (!it->is_array() || it->size() > limit) {
    return absl::DataLossError(absl::StrCat(
        kDockerFile, ": \"", key, "\" is no list of at most ", limit));
  }
  for (const json& item : *it) {
    if (!item.is_string()) {
      return absl::DataLossError(
          absl::StrCat(kDockerFile, ": \"", key, "\" has a non-string"));
    }
    strings.push_back(item.get<std::string>());
  }
  return strings;
}

bool IsCompressed(absl::string_view head) {
  return absl::StartsWith(head, "\x1f\x8b") ||
         absl::StartsWith(head, "\x28\xb5\x2f\xfd");
}

}  // namespace

absl::StatusOr<std::unique_ptr<ArchiveSource>> ArchiveSource::Open(
    const std::string& path, const os::Call& call) {
  QUOLL_ASSIGN_OR_RETURN(std::unique_ptr<ArchiveFiles> files,
                         OpenArchiveFiles(path, call));
  std::unique_ptr<ArchiveSource> source(
      new ArchiveSource(path, std::move(files)));
  // Newer docker save writes both; the OCI part has the true manifests.
  const bool oci = source->files_->Has(kOciIndexFile);
  if (!oci && !source->files_->Has(kDockerFile)) {
    return absl::InvalidArgumentError(
        absl::StrCat(path,
                     ": neither an OCI layout nor a docker-archive: it "
                     "has no index.json and no manifest.json"));
  }
  absl::Status read =
      oci ? source->ReadOciLayout(call) : source->ReadDockerArchive(call);
  if (read.ok() && source->images_.empty()) {
    read = absl::InvalidArgumentError("it holds no image");
  }
  if (!read.ok()) {
    return os::Annotate(read, path);
  }
  return source;
}

absl::Status ArchiveSource::ReadOciLayout(const os::Call& call) {
  QUOLL_ASSIGN_OR_RETURN(std::string content,
                         files_->Read(kOciIndexFile, kMaxDocumentBytes, call));
  QUOLL_ASSIGN_OR_RETURN(ImageIndex index, ParseIndex(content));
  for (IndexEntry& entry : index.entries) {
    std::vector<std::string> names = NamesOf(entry.annotations);
    const auto same = std::find_if(
        images_.begin(), images_.end(), [&](const ArchivedImage& image) {
          return image.manifest_digest == entry.descriptor.digest;
        });
    if (same != images_.end()) {  // one image under several names
      same->names.insert(same->names.end(), names.begin(), names.end());
      continue;
    }
    if (images_.size() >= kMaxImages) {
      return absl::ResourceExhaustedError(
          absl::StrCat("more than ", kMaxImages, " images"));
    }
    images_.push_back({.manifest_digest = entry.descriptor.digest,
                       .names = std::move(names),
                       .platform = std::move(entry.platform),
                       .original_manifest = true});
  }
  return absl::OkStatus();
}

absl::Status ArchiveSource::ReadDockerArchive(const os::Call& call) {
  QUOLL_ASSIGN_OR_RETURN(std::string content,
                         files_->Read(kDockerFile, kMaxDocumentBytes, call));
  QUOLL_ASSIGN_OR_RETURN(json document, ParseBoundedJson(content, kDockerFile));
  if (!document.is_array() || document.size() > kMaxImages) {
    return absl::DataLossError(absl::StrCat(
        kDockerFile, ": not a list of at most ", kMaxImages, " images"));
  }
  for (const json& item : document) {
    const auto config_name =
        item.is_object() ? item.find("Config") : item.end();
    if (!item.is_object() || config_name == item.end() ||
        !config_name->is_string()) {
      return absl::DataLossError(
          absl::StrCat(kDockerFile, ": an image without \"Config\""));
    }
    const auto& config_file = config_name->get_ref<const std::string&>();
    QUOLL_ASSIGN_OR_RETURN(std::vector<std::string> layers,
                           Strings(item, "Layers", 10'000));
    ArchivedImage image{.manifest_digest = "",
                        .names = {},
                        .platform = std::nullopt,
                        .original_manifest = false};
    QUOLL_ASSIGN_OR_RETURN(image.names, Strings(item, "RepoTags", kMaxNames));
    QUOLL_ASSIGN_OR_RETURN(std::string config,
                           files_->Read(config_file, kMaxDocumentBytes, call));
    QUOLL_ASSIGN_OR_RETURN(ImageConfigDocument parsed,
                           ParseImageConfig(config));
    if (parsed.diff_ids.size() != layers.size()) {
      return absl::DataLossError(absl::StrCat(
          kDockerFile, " names ", layers.size(), " layers, the config has ",
          parsed.diff_ids.size(), " diff ids"));
    }
    const std::string config_digest = DigestOf(config);
    file_of_blob_[config_digest] = config_file;
    json manifest = {
        {"schemaVersion", 2},
        {"mediaType", kDockerManifestType},
        {"config",
         {{"mediaType", "application/vnd.docker.container.image.v1+json"},
          {"digest", config_digest},
          {"size", config.size()}}},
        {"layers", json::array()}};
    for (size_t i = 0; i < layers.size(); ++i) {
      QUOLL_ASSIGN_OR_RETURN(
          const Descriptor layer,
          DescribeLayer(layers[i], parsed.diff_ids[i], call));
      manifest["layers"].push_back({{"mediaType", layer.media_type},
                                    {"digest", layer.digest},
                                    {"size", layer.size_bytes}});
    }
    const std::string text = manifest.dump();
    image.manifest_digest = DigestOf(text);
    made_manifests_[image.manifest_digest] = text;
    images_.push_back(std::move(image));
  }
  return absl::OkStatus();
}

// A plain layer's digest is its diff id, which the config already names; only a
// compressed one has to be hashed here.
absl::StatusOr<Descriptor> ArchiveSource::DescribeLayer(
    const std::string& file, const std::string& diff_id, const os::Call& call) {
  Descriptor layer{.media_type = "application/vnd.docker.image.rootfs.diff.tar",
                   .digest = diff_id,
                   .size_bytes = 0};
  QUOLL_ASSIGN_OR_RETURN(layer.size_bytes, files_->Size(file));
  std::string head;
  Sha256 hash;
  const absl::Status read = files_->Stream(
      file, 0,
      [&](absl::string_view chunk) {
        absl::StrAppend(&head,
                        chunk.substr(0, 4 - std::min<size_t>(4, head.size())));
        hash.Update(chunk);
        // Seen enough of a plain one; the status only ends the stream.
        return head.size() >= 4 && !IsCompressed(head)
                   ? absl::OutOfRangeError("plain")
                   : absl::OkStatus();
      },
      call);
  if (!read.ok() && !absl::IsOutOfRange(read)) {
    return read;
  }
  if (IsCompressed(head)) {
    layer.digest = hash.Finish();
    layer.media_type =
        absl::StartsWith(head, "\x1f")
            ? "application/vnd.docker.image.rootfs.diff.tar.gzip"
            : "application/vnd.docker.image.rootfs.diff.tar.zstd";
  }
  file_of_blob_[layer.digest] = file;
  return layer;
}

// Where the bytes of a digest are; "" when nowhere.
std::string ArchiveSource::FileOf(const std::string& digest) const {
  if (const auto it = file_of_blob_.find(digest); it != file_of_blob_.end()) {
    return it->second;
  }
  // A digest that has been checked is safe as a part of a path.
  return IsDigest(digest) ? absl::StrCat("blobs/sha256/",
                                         digest.substr(digest.find(':') + 1))
                          : "";
}

absl::StatusOr<ImageSource::Manifest> ArchiveSource::FetchManifest(
    const std::string& tag_or_digest, const os::Call& call) {
  Manifest manifest;
  if (const auto made = made_manifests_.find(tag_or_digest);
      made != made_manifests_.end()) {
    manifest.content = made->second;
    manifest.descriptor.media_type = kDockerManifestType;
  } else {
    const std::string file = FileOf(tag_or_digest);
    if (file.empty()) {
      return absl::NotFoundError(absl::StrCat(
          path_, ": no manifest \"", absl::CEscape(tag_or_digest), "\""));
    }
    absl::StatusOr<std::string> content =
        files_->Read(file, kMaxDocumentBytes, call);
    if (!content.ok()) {
      return os::Annotate(content.status(),
                          absl::StrCat(path_, ": read manifest"));
    }
    manifest.content = *std::move(content);
  }
  manifest.descriptor.digest = DigestOf(manifest.content);
  manifest.descriptor.size_bytes =
      static_cast<int64_t>(manifest.content.size());
  return manifest;
}

absl::Status ArchiveSource::FetchBlob(const Descriptor& blob, int64_t offset,
                                      const ByteSink& sink,
                                      const os::Call& call) {
  const std::string file = FileOf(blob.digest);
  if (file.empty() || offset < 0) {
    return absl::InvalidArgumentError(
        absl::StrCat(path_, ": read blob: bad digest or offset"));
  }
  return os::Annotate(files_->Stream(file, offset, sink, call),
                      absl::StrCat(path_, ": read blob ", blob.digest));
}

}  // namespace quoll::image
