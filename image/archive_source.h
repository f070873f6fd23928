// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

#include "image/archive_files.h"
#include "image/image_source.h"
#include "image/manifest.h"
#include "os/call.h"

namespace quoll::image {

// One image that an archive names at its top level.
struct ArchivedImage {
  std::string manifest_digest;     // to be given to FetchManifest
  std::vector<std::string> names;  // as written there, not yet checked
  std::optional<Platform> platform;
  // False when the manifest was made here from a docker-archive, which has
  // none: its digest then means nothing to a registry.
  bool original_manifest = true;
};

// The images of a local file or directory: OCI image layout (directory or tar)
// or docker-archive (`docker save`, `skopeo copy ... docker-archive:`). A
// docker-archive is given the manifest that it lacks, so that the rest of Quoll
// knows one form only. Thread-safe; blocks on local disks.
class ArchiveSource : public ImageSource {
 public:
  // InvalidArgument when `path` is no image archive, DataLoss when it is a
  // broken one.
  static absl::StatusOr<std::unique_ptr<ArchiveSource>> Open(
      const std::string& path, const os::Call& call);

  // In the archive's order, at least one.
  const std::vector<ArchivedImage>& images() const { return images_; }

  absl::StatusOr<Manifest> FetchManifest(const std::string& tag_or_digest,
                                         const os::Call& call) override;
  absl::Status FetchBlob(const Descriptor& blob, int64_t offset,
                         const ByteSink& sink, const os::Call& call) override;

 private:
  ArchiveSource(std::string path, std::unique_ptr<ArchiveFiles> files)
      : path_(std::move(path)), files_(std::move(files)) {}
  absl::Status ReadOciLayout(const os::Call& call);
  absl::Status ReadDockerArchive(const os::Call& call);
  absl::StatusOr<Descriptor> DescribeLayer(const std::string& file,
                                           const std::string& diff_id,
                                           const os::Call& call);
  std::string FileOf(const std::string& digest) const;

  const std::string path_;
  const std::unique_ptr<ArchiveFiles> files_;
  std::vector<ArchivedImage> images_;
  // Both by digest and empty for an OCI layout.
  std::map<std::string, std::string> made_manifests_;
  std::map<std::string, std::string> file_of_blob_;
};

}  // namespace quoll::image
