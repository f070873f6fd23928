// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

#include "image/image_source.h"
#include "image/layer_store.h"
#include "image/manifest.h"
#include "image/slots.h"
#include "os/call.h"
#include "os/keyed_mutex.h"

namespace quoll::image {

// Where layers go, as far as fetching is concerned (LayerStore; tests have a
// store in memory).
struct LayerTarget {
  std::function<bool(const std::string& diff_id)> has;
  std::function<absl::StatusOr<std::unique_ptr<LayerWriter>>(
      const std::string& diff_id, const os::Call& call)>
      begin;
};

// What was fetched: verified documents, and layers that are in the store.
struct FetchedImage {
  std::string image_id;         // digest of the config
  std::string manifest_digest;  // of what the name led to: index or manifest
  std::string config_json;
  ImageConfigDocument config;
};

// Brings one image from a source into the layer store:
//
//   manifest -> (index -> platform -> manifest) -> config -> layers, all at
//   once layer: FetchBlob -> SHA-256 -> LayerWriter (inflate, SHA-256, unpack)
//
// Every document and layer is verified against the digest and size that named
// it; a layer is committed only after both hold (else DataLoss). The first
// error cancels the other layers. A layer that two fetches need at once is
// fetched by one of them. Thread-safe; blocks.
class ImageFetcher {
 public:
  struct Options {
    Platform platform = HostPlatform();
    int max_parallel_layers = 6;        // per image
    int max_parallel_layers_node = 12;  // of all images together
    size_t max_layers = 127;            // overlayfs: see mount option lowerdir+
  };
  ImageFetcher(Options options, LayerTarget target);

  // Called when the diff ids are known and before the store is asked what it
  // has: from then on the layers must stay.
  using LayersKnown =
      std::function<absl::Status(const std::vector<std::string>& diff_ids)>;

  // With a digest, the manifest must have it.
  absl::StatusOr<FetchedImage> Fetch(ImageSource& source,
                                     const std::string& tag_or_digest,
                                     const LayersKnown& layers_known,
                                     const os::Call& call);

 private:
  absl::Status FetchLayers(ImageSource& source, const ImageManifest& manifest,
                           const std::vector<std::string>& diff_ids,
                           const os::Call& call);
  absl::Status FetchLayer(ImageSource& source, const Descriptor& layer,
                          const std::string& diff_id, const os::Call& call);

  const Options options_;
  const LayerTarget target_;
  Slots node_slots_;
  os::KeyedMutex layers_in_work_;
};

}  // namespace quoll::image
