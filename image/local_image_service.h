// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

#include "image/image_fetcher.h"
#include "image/image_service.h"
#include "image/image_source.h"
#include "image/image_table.h"
#include "image/layer_pins.h"
#include "image/layer_store.h"
#include "image/pull_flights.h"
#include "image/reference.h"
#include "image/registry_client.h"
#include "os/call.h"
#include "os/keyed_mutex.h"
#include "os/record_db.h"

namespace quoll::image {

// The images of this node: fetched by ImageFetcher, named in ImageTable, their
// layers in LayerStore. Writing the image's record is the commit of a pull; a
// pull that fails leaves no record. Whole layers that it had finished stay, so
// that the next try has less to do, until layers are collected.
// Thread-safe; everything but Find, List and Usage blocks.
class LocalImageService : public ImageService {
 public:
  using SourceFactory = std::function<std::unique_ptr<ImageSource>(
      const Reference& reference, const Credentials& credentials)>;
  struct Options {
    std::string layers_directory;  // what Usage() calls the mountpoint
    RegistryOptions registry;
    ImageFetcher::Options fetch;
    // Where images are pulled from; empty: from the registry that the name
    // says.
    SourceFactory open_source;
  };
  // Layer directories (LayerStore::Directory) that containers stand on. Layers
  // are removed on its word: from Recover() on it must know every container, or
  // say by an error that it does not; no layer is removed then.
  using LayersInUse = std::function<absl::StatusOr<std::set<std::string>>()>;

  // `layers` and `db` must outlive the service; no I/O.
  LocalImageService(Options options, LayerStore& layers, os::RecordDb& db,
                    LayersInUse layers_in_use);
  ~LocalImageService() override;

  // Recovers the layer store, too.
  absl::Status Recover() override;
  absl::StatusOr<ImageRecord> Pull(const std::string& reference,
                                   const Credentials& credentials,
                                   const os::Call& call) override;
  absl::StatusOr<std::vector<ImageRecord>> Load(const std::string& path,
                                                const std::string& name,
                                                const os::Call& call) override;
  absl::StatusOr<ImageRecord> Find(const std::string& reference) const override;
  absl::StatusOr<ImageLease> Lease(const std::string& reference) override;
  std::vector<ImageRecord> List() const override;
  absl::Status Remove(const std::string& reference) override;
  void ContainersGone() override;
  FsUsage Usage() const override;

 private:
  // What an image is to be called once it is here.
  struct Names {
    std::set<std::string> tags;
    std::set<std::string> repositories;  // get NAME@manifest digest
  };
  static absl::StatusOr<Names> NamesFor(const std::vector<std::string>& called,
                                        bool original_manifest);
  absl::StatusOr<ImageRecord> PullNow(const Reference& reference,
                                      const Credentials& credentials,
                                      const os::Call& call);
  absl::StatusOr<ImageRecord> Bring(ImageSource& source,
                                    const std::string& tag_or_digest,
                                    const Names& names, const os::Call& call);
  absl::StatusOr<ImageRecord> MakeRecord(const FetchedImage& image,
                                         const Names& names) const;
  absl::StatusOr<std::set<std::string>> DiffIdsInUse() const;
  absl::Status CollectGarbage();

  const Options options_;
  LayerStore& layers_;
  const LayersInUse layers_in_use_;
  RegistryClient registry_;
  ImageTable table_;
  LayerPins pins_;
  ImageFetcher fetcher_;
  os::KeyedMutex collecting_;  // one garbage collection at a time
  // The last collection has left layers that no image needs any more.
  std::atomic<bool> layers_owed_{false};
  PullFlights flights_;  // last: its threads use everything above
};

}  // namespace quoll::image
