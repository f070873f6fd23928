// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <map>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

#include "image/image_source.h"
#include "proto/state/v1/state.pb.h"

// The three documents of an image (OCI image-spec 1.1; Docker schema 2): index,
// manifest, config. All of it is a stranger's: sizes, nesting and types are
// checked, and errors quote nothing unbounded. Broken documents are DataLoss,
// whole ones that Quoll does not support are FailedPrecondition.
namespace quoll::image {

// Nothing bigger is read, from a registry or from an archive.
inline constexpr size_t kMaxDocumentBytes = 4u << 20;

struct Platform {
  std::string os = "linux";
  std::string architecture;  // Go's names: amd64, arm64, arm, ...
  std::string variant;       // "v7", "v8", or ""

  std::string ToString() const;  // linux/arm/v7
};

// Of the kernel that runs this (uname(2)).
Platform HostPlatform();

struct IndexEntry {
  Descriptor descriptor;
  std::optional<Platform> platform;
  std::map<std::string, std::string> annotations;
};

struct ImageIndex {
  std::vector<IndexEntry> entries;
};

struct ImageManifest {
  Descriptor config;
  std::vector<Descriptor> layers;  // bottom first
};

using ManifestDocument = std::variant<ImageIndex, ImageManifest>;

// Tells an index from a manifest. `media_type` is what the transport said; the
// content's own mediaType and fields decide, and content that could be read as
// both is refused (CVE-2021-41190). Docker schema 1 is refused.
absl::StatusOr<ManifestDocument> ParseManifestDocument(
    absl::string_view content, absl::string_view media_type);

// OCI index.json of a layout, which may carry no mediaType.
absl::StatusOr<ImageIndex> ParseIndex(absl::string_view content);

// Does an image for `have` run on a machine that is `want`?
bool Runs(const Platform& have, const Platform& want);

// The entry that fits `want` best: same os and architecture, and the highest
// variant that it can run. NotFound lists what there is.
absl::StatusOr<IndexEntry> SelectPlatform(const ImageIndex& index,
                                          const Platform& want);

struct ImageConfigDocument {
  state::v1::ImageConfig config;
  std::vector<std::string> diff_ids;  // bottom first
  std::string variant;
};

absl::StatusOr<ImageConfigDocument> ParseImageConfig(absl::string_view content);

// Do the three fit together: one diff id per layer, layers that can be unpacked
// and are not too many, an os and architecture that run here.
absl::Status CheckImage(const ImageManifest& manifest,
                        const ImageConfigDocument& config, const Platform& want,
                        size_t max_layers);

}  // namespace quoll::image
