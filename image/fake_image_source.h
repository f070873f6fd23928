// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <functional>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"

#include "image/digest.h"
#include "image/image_source.h"
#include "image/manifest.h"

namespace quoll::image {

// A source whose content is in memory. Fill it before the first fetch.
class FakeImageSource : public ImageSource {
 public:
  // Adds `bytes` as a blob and returns the descriptor of it.
  Descriptor AddBlob(const std::string& media_type, const std::string& bytes) {
    const std::string digest = DigestOf(bytes);
    blobs[digest] = bytes;
    return {media_type, digest, static_cast<int64_t>(bytes.size())};
  }

  // Adds an image of plain layers and returns the digest of its manifest.
  std::string AddImage(const std::string& tag,
                       const std::vector<std::string>& layers,
                       const std::string& environment = "A=b") {
    std::string diff_ids;
    std::string descriptors;
    for (const std::string& layer : layers) {
      const Descriptor blob =
          AddBlob("application/vnd.oci.image.layer.v1.tar", layer);
      absl::StrAppend(&diff_ids, diff_ids.empty() ? "" : ",", "\"", blob.digest,
                      "\"");
      absl::StrAppend(&descriptors, descriptors.empty() ? "" : ",", Json(blob));
    }
    const Platform host = HostPlatform();
    const Descriptor config = AddBlob(
        "application/vnd.oci.image.config.v1+json",
        absl::StrCat(R"({"os":"linux","architecture":")", host.architecture,
                     R"(","config":{"Env":[")", environment,
                     R"("]},"rootfs":{"type":"layers","diff_ids":[)", diff_ids,
                     "]}}"));
    return AddManifest(
        tag, absl::StrCat(R"({"schemaVersion":2,"config":)", Json(config),
                          R"(,"layers":[)", descriptors, "]}"));
  }

  // Under its digest and, when not empty, a tag.
  std::string AddManifest(const std::string& tag, const std::string& content) {
    std::string digest = DigestOf(content);
    manifests[digest] = content;
    if (!tag.empty()) {
      manifests[tag] = content;
    }
    return digest;
  }

  static std::string Json(const Descriptor& d) {
    return absl::StrCat(R"({"mediaType":")", d.media_type, R"(","digest":")",
                        d.digest, R"(","size":)", d.size_bytes, "}");
  }

  absl::StatusOr<Manifest> FetchManifest(const std::string& tag_or_digest,
                                         const os::Call&) override {
    ++manifest_fetches;
    const auto it = manifests.find(tag_or_digest);
    if (it == manifests.end()) {
      return absl::NotFoundError(absl::StrCat("no manifest ", tag_or_digest));
    }
    return Manifest{{"application/json", DigestOf(it->second),
                     static_cast<int64_t>(it->second.size())},
                    it->second};
  }

  absl::Status FetchBlob(const Descriptor& blob, int64_t offset,
                         const ByteSink& sink, const os::Call& call) override {
    ++blob_fetches;
    if (before_blob) {
      absl::Status status = before_blob(blob, call);
      if (!status.ok()) {
        return status;
      }
    }
    const auto it = blobs.find(blob.digest);
    if (it == blobs.end()) {
      return absl::NotFoundError(absl::StrCat("no blob ", blob.digest));
    }
    return sink(absl::string_view(it->second).substr(offset));
  }

  std::map<std::string, std::string> manifests;
  std::map<std::string, std::string> blobs;
  // Runs on the fetching thread before a blob is sent.
  std::function<absl::Status(const Descriptor&, const os::Call&)> before_blob;
  std::atomic<int> manifest_fetches{0};
  std::atomic<int> blob_fetches{0};
};

}  // namespace quoll::image
