// SPDX-License-Identifier: Apache-2.0
#include "image/manifest.h"

#include <sys/utsname.h>

#include <algorithm>
#include <cstdint>
#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/strip.h"

#include "image/bounded_json.h"
#include "image/reference.h"
#include "nlohmann/json.hpp"
#include "os/status_macros.h"

namespace quoll::image {
namespace {

using nlohmann::json;

constexpr absl::string_view kOciIndex =
    "application/vnd.oci.image.index.v1+json";
constexpr absl::string_view kOciManifest =
    "application/vnd.oci.image.manifest.v1+json";
constexpr absl::string_view kDockerIndex =
    "application/vnd.docker.distribution.manifest.list.v2+json";
constexpr absl::string_view kDockerManifest =
    "application/vnd.docker.distribution.manifest.v2+json";
// Bounds the work on one document beside its size in bytes.
constexpr size_t kMaxEntries = 10'000;

std::string Quoted(absl::string_view text) {
  return absl::StrCat("\"", absl::CEscape(text.substr(0, 120)), "\"");
}

// Members of a document. Absent and null are the same, as in Go's
// encoding/json, which wrote most of what is out there.
const json* Member(const json& object, const char* key) {
  if (!object.is_object()) {
    return nullptr;
  }
  const auto it = object.find(key);
  return it == object.end() || it->is_null() ? nullptr : &*it;
}

absl::Status WrongType(absl::string_view subject, absl::string_view key,
                       absl::string_view expected) {
  return absl::DataLossError(
      absl::StrCat(subject, ": \"", key, "\" is not ", expected));
}

// A string that may stand in a C string: image values end up in execve(2).
absl::StatusOr<std::string> AsString(const json& value,
                                     absl::string_view subject,
                                     absl::string_view key) {
  const auto* text = value.get_ptr<const std::string*>();
  if (text == nullptr) {
    return WrongType(subject, key, "a string");
  }
  if (text->find('\0') != std::string::npos) {
    return absl::DataLossError(
        absl::StrCat(subject, ": \"", key, "\" has a NUL character"));
  }
  return *text;
}

absl::StatusOr<std::string> StringMember(const json& object, const char* key,
                                         absl::string_view subject) {
  const json* value = Member(object, key);
  return value == nullptr ? std::string() : AsString(*value, subject, key);
}

// nullptr when absent.
absl::StatusOr<const json*> ArrayMember(const json& object, const char* key,
                                        absl::string_view subject) {
  const json* value = Member(object, key);
  if (value != nullptr && !value->is_array()) {
    return WrongType(subject, key, "a list");
  }
  if (value != nullptr && value->size() > kMaxEntries) {
    return absl::DataLossError(absl::StrCat(
        subject, ": \"", key, "\" has more than ", kMaxEntries, " entries"));
  }
  return value;
}

absl::StatusOr<std::vector<std::string>> StringsMember(
    const json& object, const char* key, absl::string_view subject) {
  std::vector<std::string> strings;
  QUOLL_ASSIGN_OR_RETURN(const json* list, ArrayMember(object, key, subject));
  if (list != nullptr) {
    for (const json& item : *list) {
      QUOLL_ASSIGN_OR_RETURN(std::string text, AsString(item, subject, key));
      strings.push_back(std::move(text));
    }
  }
  return strings;
}

absl::StatusOr<const json*> ObjectMember(const json& object, const char* key,
                                         absl::string_view subject) {
  const json* value = Member(object, key);
  if (value != nullptr && !value->is_object()) {
    return WrongType(subject, key, "an object");
  }
  return value;
}

absl::StatusOr<Descriptor> ParseDescriptor(const json& value,
                                           absl::string_view subject) {
  Descriptor descriptor;
  QUOLL_ASSIGN_OR_RETURN(descriptor.media_type,
                         StringMember(value, "mediaType", subject));
  QUOLL_ASSIGN_OR_RETURN(descriptor.digest,
                         StringMember(value, "digest", subject));
  if (!IsDigest(descriptor.digest)) {
    return absl::DataLossError(
        absl::StrCat(subject, ": digest ", Quoted(descriptor.digest),
                     " is not sha256: and 64 lower-case hex digits"));
  }
  const json* size = Member(value, "size");
  if (size == nullptr || !size->is_number_integer()) {
    return WrongType(subject, "size", "a number");
  }
  // get<int64_t> of an unsigned value over INT64_MAX wraps to a negative one.
  descriptor.size_bytes = size->get<int64_t>();
  if (descriptor.size_bytes < 0) {
    return absl::DataLossError(absl::StrCat(
        subject, ": the size of ", descriptor.digest, " is out of range"));
  }
  return descriptor;
}

std::string NormalArchitecture(absl::string_view architecture) {
  if (architecture == "x86_64" || architecture == "x86-64") {
    return "amd64";
  }
  if (architecture == "aarch64") {
    return "arm64";
  }
  if (architecture == "armhf" || architecture == "armel") {
    return "arm";
  }
  return std::string(architecture);
}

absl::StatusOr<ImageIndex> IndexFrom(const json& document) {
  constexpr absl::string_view kSubject = "image index";
  ImageIndex index;
  QUOLL_ASSIGN_OR_RETURN(const json* list,
                         ArrayMember(document, "manifests", kSubject));
  if (list == nullptr) {
    return absl::DataLossError("image index: \"manifests\" is missing");
  }
  for (const json& item : *list) {
    IndexEntry entry;
    QUOLL_ASSIGN_OR_RETURN(entry.descriptor, ParseDescriptor(item, kSubject));
    QUOLL_ASSIGN_OR_RETURN(const json* platform,
                           ObjectMember(item, "platform", kSubject));
    if (platform != nullptr) {
      entry.platform.emplace();
      QUOLL_ASSIGN_OR_RETURN(entry.platform->os,
                             StringMember(*platform, "os", kSubject));
      QUOLL_ASSIGN_OR_RETURN(std::string architecture,
                             StringMember(*platform, "architecture", kSubject));
      entry.platform->architecture = NormalArchitecture(architecture);
      QUOLL_ASSIGN_OR_RETURN(entry.platform->variant,
                             StringMember(*platform, "variant", kSubject));
    }
    QUOLL_ASSIGN_OR_RETURN(const json* annotations,
                           ObjectMember(item, "annotations", kSubject));
    if (annotations != nullptr) {
      for (const auto& [key, value] : annotations->items()) {
        QUOLL_ASSIGN_OR_RETURN(entry.annotations[key],
                               AsString(value, kSubject, "annotations"));
      }
    }
    index.entries.push_back(std::move(entry));
  }
  return index;
}

absl::StatusOr<ImageManifest> ManifestFrom(const json& document) {
  constexpr absl::string_view kSubject = "image manifest";
  ImageManifest manifest;
  QUOLL_ASSIGN_OR_RETURN(const json* config,
                         ObjectMember(document, "config", kSubject));
  QUOLL_ASSIGN_OR_RETURN(const json* layers,
                         ArrayMember(document, "layers", kSubject));
  if (config == nullptr || layers == nullptr) {
    return absl::DataLossError(
        "image manifest: \"config\" or \"layers\" is missing");
  }
  QUOLL_ASSIGN_OR_RETURN(manifest.config, ParseDescriptor(*config, kSubject));
  for (const json& layer : *layers) {
    QUOLL_ASSIGN_OR_RETURN(Descriptor descriptor,
                           ParseDescriptor(layer, kSubject));
    manifest.layers.push_back(std::move(descriptor));
  }
  return manifest;
}

// How well `have` runs on a machine that is `want`: 0 not at all, more is
// better.
int Fit(const Platform& have, const Platform& want) {
  if (have.os != want.os || have.architecture != want.architecture) {
    return 0;
  }
  if (have.variant == want.variant) {
    return 100;
  }
  const auto level = [](absl::string_view variant) {
    int number = 0;
    return absl::ConsumePrefix(&variant, "v") &&
                   absl::SimpleAtoi(variant, &number)
               ? number
               : 0;
  };
  if (want.architecture == "arm") {
    // Older ones run on newer cores; an unnamed one is v7 by Docker's custom.
    const int have_level = have.variant.empty() ? 7 : level(have.variant);
    const int want_level = want.variant.empty() ? 7 : level(want.variant);
    return have_level > want_level ? 0 : 10 + std::max(have_level, 0);
  }
  // arm64 without a variant is v8, amd64 without one is v1. Higher ones may or
  // may not run here: taken only when there is nothing else.
  const int base = want.architecture == "arm64" ? 8 : 1;
  return have.variant.empty() || level(have.variant) == base ? 50 : 1;
}

absl::Status CheckLayerType(const Descriptor& layer) {
  absl::string_view type = layer.media_type;
  if (absl::StrContains(type, "nondistributable") ||
      absl::StrContains(type, "foreign")) {
    return absl::FailedPreconditionError(absl::StrCat(
        "layer ", layer.digest, " is of type ", Quoted(type),
        ", which its registry does not hand out; Quoll does not fetch layers "
        "from elsewhere"));
  }
  for (const absl::string_view known :
       {"application/vnd.oci.image.layer.v1.tar",
        "application/vnd.oci.image.layer.v1.tar+gzip",
        "application/vnd.oci.image.layer.v1.tar+zstd",
        "application/vnd.docker.image.rootfs.diff.tar",
        "application/vnd.docker.image.rootfs.diff.tar.gzip",
        "application/vnd.docker.image.rootfs.diff.tar.zstd"}) {
    if (type == known) {
      return absl::OkStatus();
    }
  }
  return absl::FailedPreconditionError(
      absl::StrCat("layer ", layer.digest, " is of type ", Quoted(type),
                   "; Quoll unpacks plain, gzip and zstd tar layers"));
}

absl::Status FillImageConfig(const json& document, ImageConfigDocument& out) {
  constexpr absl::string_view kSubject = "image config";
  state::v1::ImageConfig& config = out.config;
  QUOLL_ASSIGN_OR_RETURN(*config.mutable_os(),
                         StringMember(document, "os", kSubject));
  QUOLL_ASSIGN_OR_RETURN(std::string architecture,
                         StringMember(document, "architecture", kSubject));
  config.set_architecture(NormalArchitecture(architecture));
  QUOLL_ASSIGN_OR_RETURN(out.variant,
                         StringMember(document, "variant", kSubject));
  QUOLL_ASSIGN_OR_RETURN(const json* process,
                         ObjectMember(document, "config", kSubject));
  if (process == nullptr) {
    return absl::OkStatus();
  }
  const auto strings = [&](const char* key, auto* field) -> absl::Status {
    QUOLL_ASSIGN_OR_RETURN(std::vector<std::string> values,
                           StringsMember(*process, key, kSubject));
    field->Assign(values.begin(), values.end());
    return absl::OkStatus();
  };
  QUOLL_RETURN_IF_ERROR(strings("Env", config.mutable_env()));
  QUOLL_RETURN_IF_ERROR(strings("Entrypoint", config.mutable_entrypoint()));
  QUOLL_RETURN_IF_ERROR(strings("Cmd", config.mutable_command()));
  QUOLL_ASSIGN_OR_RETURN(*config.mutable_user(),
                         StringMember(*process, "User", kSubject));
  QUOLL_ASSIGN_OR_RETURN(*config.mutable_working_dir(),
                         StringMember(*process, "WorkingDir", kSubject));
  QUOLL_ASSIGN_OR_RETURN(*config.mutable_stop_signal(),
                         StringMember(*process, "StopSignal", kSubject));
  QUOLL_ASSIGN_OR_RETURN(const json* volumes,
                         ObjectMember(*process, "Volumes", kSubject));
  if (volumes != nullptr) {
    for (const auto& [path, unused] : volumes->items()) {
      QUOLL_ASSIGN_OR_RETURN(*config.add_volumes(),
                             AsString(json(path), kSubject, "Volumes"));
    }
  }
  QUOLL_ASSIGN_OR_RETURN(const json* labels,
                         ObjectMember(*process, "Labels", kSubject));
  if (labels != nullptr) {
    for (const auto& [key, value] : labels->items()) {
      QUOLL_ASSIGN_OR_RETURN((*config.mutable_labels())[key],
                             AsString(value, kSubject, "Labels"));
    }
  }
  return absl::OkStatus();
}

absl::StatusOr<json> ParseObject(absl::string_view content,
                                 absl::string_view subject) {
  if (content.size() > kMaxDocumentBytes) {
    return absl::DataLossError(absl::StrCat(subject, ": ", content.size(),
                                            " bytes are more than ",
                                            kMaxDocumentBytes));
  }
  QUOLL_ASSIGN_OR_RETURN(json document, ParseBoundedJson(content, subject));
  if (!document.is_object()) {
    return absl::DataLossError(absl::StrCat(subject, ": not a JSON object"));
  }
  return document;
}

}  // namespace

std::string Platform::ToString() const {
  std::string text = absl::StrCat(os, "/", architecture);
  if (!variant.empty()) {
    absl::StrAppend(&text, "/", variant);
  }
  return text;
}

Platform HostPlatform() {
  Platform platform;
  struct utsname name = {};
  uname(&name);  // fails only for a bad pointer
  const absl::string_view machine = name.machine;
  if (machine == "armv7l" || machine == "armv8l") {
    platform.architecture = "arm";
    platform.variant = "v7";
  } else if (machine == "armv6l") {
    platform.architecture = "arm";
    platform.variant = "v6";
  } else if (machine == "i686" || machine == "i386") {
    platform.architecture = "386";
  } else {
    platform.architecture = NormalArchitecture(machine);
    platform.variant = platform.architecture == "arm64" ? "v8" : "";
  }
  return platform;
}

absl::StatusOr<ManifestDocument> ParseManifestDocument(
    absl::string_view content, absl::string_view media_type) {
  QUOLL_ASSIGN_OR_RETURN(json document, ParseObject(content, "image manifest"));
  const json* version = Member(document, "schemaVersion");
  if (Member(document, "fsLayers") != nullptr ||
      (version != nullptr && *version == 1)) {
    return absl::FailedPreconditionError(
        "image manifest: Docker schema 1 is too old for Quoll; push the image "
        "again with a client of this decade");
  }
  const bool has_manifests = Member(document, "manifests") != nullptr;
  const bool has_layers = Member(document, "layers") != nullptr ||
                          Member(document, "config") != nullptr;
  if (has_manifests && has_layers) {
    return absl::DataLossError(
        "image manifest: it has both \"manifests\" and \"layers\", so it is "
        "neither an index nor a manifest");
  }
  QUOLL_ASSIGN_OR_RETURN(std::string own_type,
                         StringMember(document, "mediaType", "image manifest"));
  const absl::string_view type =
      own_type.empty() ? media_type : absl::string_view(own_type);
  const bool says_index = type == kOciIndex || type == kDockerIndex;
  const bool says_manifest = type == kOciManifest || type == kDockerManifest;
  if ((says_index && has_layers) || (says_manifest && has_manifests)) {
    return absl::DataLossError(absl::StrCat(
        "image manifest: its type ", Quoted(type), " denies its fields"));
  }
  if (!own_type.empty() && !says_index && !says_manifest) {
    return absl::FailedPreconditionError(
        absl::StrCat("image manifest: type ", Quoted(own_type),
                     " is not an image; Quoll reads OCI and Docker schema 2"));
  }
  if (has_manifests) {
    QUOLL_ASSIGN_OR_RETURN(ImageIndex index, IndexFrom(document));
    return ManifestDocument(std::move(index));
  }
  QUOLL_ASSIGN_OR_RETURN(ImageManifest manifest, ManifestFrom(document));
  return ManifestDocument(std::move(manifest));
}

absl::StatusOr<ImageIndex> ParseIndex(absl::string_view content) {
  QUOLL_ASSIGN_OR_RETURN(json document, ParseObject(content, "image index"));
  return IndexFrom(document);
}

bool Runs(const Platform& have, const Platform& want) {
  return Fit(have, want) > 0;
}

absl::StatusOr<IndexEntry> SelectPlatform(const ImageIndex& index,
                                          const Platform& want) {
  const IndexEntry* best = nullptr;
  int best_fit = 0;
  std::vector<std::string> offered;
  for (const IndexEntry& entry : index.entries) {
    int fit = 0;
    if (entry.platform) {
      fit = Fit(*entry.platform, want);
      if (offered.size() < 20) {
        offered.push_back(Quoted(entry.platform->ToString()));
      }
    } else if (index.entries.size() == 1) {
      fit = 1;  // the config will tell
    }
    if (fit > best_fit) {
      best_fit = fit;
      best = &entry;
    }
  }
  if (best == nullptr) {
    return absl::NotFoundError(
        absl::StrCat("no image for ", want.ToString(), "; the index has ",
                     offered.empty() ? "none with a platform"
                                     : absl::StrJoin(offered, ", ")));
  }
  return *best;
}

absl::StatusOr<ImageConfigDocument> ParseImageConfig(
    absl::string_view content) {
  constexpr absl::string_view kSubject = "image config";
  QUOLL_ASSIGN_OR_RETURN(json document, ParseObject(content, kSubject));
  ImageConfigDocument parsed;
  QUOLL_RETURN_IF_ERROR(FillImageConfig(document, parsed));
  QUOLL_ASSIGN_OR_RETURN(const json* rootfs,
                         ObjectMember(document, "rootfs", kSubject));
  if (rootfs == nullptr) {
    return absl::DataLossError("image config: \"rootfs\" is missing");
  }
  QUOLL_ASSIGN_OR_RETURN(parsed.diff_ids,
                         StringsMember(*rootfs, "diff_ids", kSubject));
  for (const std::string& diff_id : parsed.diff_ids) {
    if (!IsDigest(diff_id)) {
      return absl::DataLossError(
          absl::StrCat("image config: diff id ", Quoted(diff_id),
                       " is not sha256: and 64 lower-case hex digits"));
    }
  }
  return parsed;
}

absl::Status CheckImage(const ImageManifest& manifest,
                        const ImageConfigDocument& config, const Platform& want,
                        size_t max_layers) {
  if (manifest.layers.size() != config.diff_ids.size()) {
    return absl::DataLossError(absl::StrCat(
        "the manifest has ", manifest.layers.size(), " layers and the config ",
        config.diff_ids.size(), " diff ids"));
  }
  if (manifest.layers.size() > max_layers) {
    return absl::FailedPreconditionError(
        absl::StrCat("the image has ", manifest.layers.size(),
                     " layers, more than the limit of ", max_layers));
  }
  for (const Descriptor& layer : manifest.layers) {
    QUOLL_RETURN_IF_ERROR(CheckLayerType(layer));
  }
  // Old builders left them out; they mean the machine they ran on.
  Platform have{.os = config.config.os(),
                .architecture = config.config.architecture(),
                .variant = config.variant};
  if (have.os.empty()) {
    have.os = want.os;
  }
  if (have.architecture.empty()) {
    have.architecture = want.architecture;
    have.variant = want.variant;
  }
  if (!Runs(have, want)) {
    return absl::NotFoundError(
        absl::StrCat("the image is for ", Quoted(have.ToString()),
                     ", this node is ", want.ToString()));
  }
  return absl::OkStatus();
}

}  // namespace quoll::image
