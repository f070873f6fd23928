// SPDX-License-Identifier: Apache-2.0
#include "image/image_fetcher.h"

#include <algorithm>
#include <atomic>
#include <set>
#include <system_error>
#include <thread>
#include <utility>
#include <variant>

#include "absl/base/thread_annotations.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"

#include "image/digest.h"
#include "image/reference.h"
#include "image/waiting.h"
#include "os/annotate.h"
#include "os/log.h"
#include "os/status_macros.h"

namespace quoll::image {
namespace {

// Indexes point to manifests; some point to further indexes. No real one is
// deeper, and a ring must end.
constexpr int kMaxIndexDepth = 4;
// When unpacking fails, up to so much more is read to find out whether the
// bytes were broken on their way, which is the better explanation.
constexpr int64_t kMaxDiagnosisBytes = 32 << 20;

absl::Status WrongDigest(absl::string_view what, absl::string_view got,
                         absl::string_view want) {
  return absl::DataLossError(absl::StrCat(what, " has digest ", got,
                                          " instead of ", want,
                                          "; the source or something on the "
                                          "way changed it"));
}

absl::StatusOr<ImageSource::Manifest> FetchVerifiedManifest(
    ImageSource& source, const std::string& tag_or_digest,
    const os::Call& call) {
  QUOLL_ASSIGN_OR_RETURN(ImageSource::Manifest manifest,
                         source.FetchManifest(tag_or_digest, call));
  // Content is what counts, not what the source says about it.
  manifest.descriptor.digest = DigestOf(manifest.content);
  if (IsDigest(tag_or_digest) && manifest.descriptor.digest != tag_or_digest) {
    return WrongDigest("the manifest", manifest.descriptor.digest,
                       tag_or_digest);
  }
  return manifest;
}

absl::StatusOr<std::string> FetchVerifiedConfig(ImageSource& source,
                                                const Descriptor& config,
                                                const os::Call& call) {
  if (config.size_bytes > static_cast<int64_t>(kMaxDocumentBytes)) {
    return absl::FailedPreconditionError(
        absl::StrCat("the image config of ", config.size_bytes,
                     " bytes is over the limit of ", kMaxDocumentBytes));
  }
  std::string content;
  QUOLL_RETURN_IF_ERROR(source.FetchBlob(
      config, 0,
      [&](absl::string_view chunk) -> absl::Status {
        if (content.size() + chunk.size() > kMaxDocumentBytes) {
          return absl::DataLossError("the image config does not end");
        }
        absl::StrAppend(&content, chunk);
        return absl::OkStatus();
      },
      call));
  const std::string digest = DigestOf(content);
  if (digest != config.digest) {
    return WrongDigest("the image config", digest, config.digest);
  }
  return content;
}

// The first error of several threads; whoever comes later was cancelled by it.
class FirstFailure {
 public:
  void Set(const absl::Status& status) {
    absl::MutexLock lock(&mutex_);
    if (status_.ok()) {
      status_ = status;
      failed_ = true;
    }
  }
  bool failed() const { return failed_; }
  absl::Status status() const {
    absl::MutexLock lock(&mutex_);
    return status_;
  }

 private:
  mutable absl::Mutex mutex_;
  absl::Status status_ ABSL_GUARDED_BY(mutex_);
  std::atomic<bool> failed_{false};
};

// What stands between the source and the writer of one layer.
class VerifyingSink {
 public:
  VerifyingSink(const Descriptor& layer, LayerWriter& writer)
      : layer_(layer), writer_(writer) {}

  absl::Status Take(absl::string_view chunk) {
    received_ += static_cast<int64_t>(chunk.size());
    if (received_ > layer_.size_bytes) {
      return absl::DataLossError(absl::StrCat("more bytes came than the ",
                                              layer_.size_bytes,
                                              " that the manifest says"));
    }
    hash_.Update(chunk);
    if (write_error_.ok()) {
      write_error_ = writer_.Append(chunk);
    }
    const bool go_on = write_error_.ok() ||
                       (!os::IsGivingUp(write_error_) &&
                        layer_.size_bytes - received_ <= kMaxDiagnosisBytes);
    return go_on ? absl::OkStatus() : write_error_;
  }

  // After the last byte.
  absl::Status Verify() {
    if (received_ != layer_.size_bytes) {
      return absl::DataLossError(
          absl::StrCat(received_, " bytes came instead of the ",
                       layer_.size_bytes, " that the manifest says"));
    }
    const std::string digest = hash_.Finish();
    if (digest != layer_.digest) {
      return WrongDigest("its content", digest, layer_.digest);
    }
    return write_error_;
  }

 private:
  const Descriptor& layer_;
  LayerWriter& writer_;
  Sha256 hash_;
  int64_t received_ = 0;
  absl::Status write_error_;
};

}  // namespace

ImageFetcher::ImageFetcher(Options options, LayerTarget target)
    : options_(std::move(options)),
      target_(std::move(target)),
      node_slots_(std::max(1, options_.max_parallel_layers_node)) {}

absl::StatusOr<FetchedImage> ImageFetcher::Fetch(
    ImageSource& source, const std::string& tag_or_digest,
    const LayersKnown& layers_known, const os::Call& call) {
  FetchedImage image;
  QUOLL_ASSIGN_OR_RETURN(ImageSource::Manifest raw,
                         FetchVerifiedManifest(source, tag_or_digest, call));
  image.manifest_digest = raw.descriptor.digest;
  ImageManifest manifest;
  for (int depth = 0;; ++depth) {
    QUOLL_ASSIGN_OR_RETURN(
        ManifestDocument document,
        ParseManifestDocument(raw.content, raw.descriptor.media_type));
    if (auto* found = std::get_if<ImageManifest>(&document)) {
      manifest = std::move(*found);
      break;
    }
    if (depth >= kMaxIndexDepth) {
      return absl::DataLossError("image indexes point to each other too deep");
    }
    QUOLL_ASSIGN_OR_RETURN(
        const IndexEntry entry,
        SelectPlatform(std::get<ImageIndex>(document), options_.platform));
    QUOLL_ASSIGN_OR_RETURN(
        raw, FetchVerifiedManifest(source, entry.descriptor.digest, call));
    if (raw.descriptor.media_type.empty()) {
      raw.descriptor.media_type = entry.descriptor.media_type;
    }
  }
  QUOLL_ASSIGN_OR_RETURN(image.config_json,
                         FetchVerifiedConfig(source, manifest.config, call));
  image.image_id = manifest.config.digest;
  QUOLL_ASSIGN_OR_RETURN(image.config, ParseImageConfig(image.config_json));
  QUOLL_RETURN_IF_ERROR(CheckImage(manifest, image.config, options_.platform,
                                   options_.max_layers));
  QUOLL_RETURN_IF_ERROR(layers_known(image.config.diff_ids));
  QUOLL_RETURN_IF_ERROR(
      FetchLayers(source, manifest, image.config.diff_ids, call));
  return image;
}

absl::Status ImageFetcher::FetchLayers(ImageSource& source,
                                       const ImageManifest& manifest,
                                       const std::vector<std::string>& diff_ids,
                                       const os::Call& call) {
  std::vector<size_t> todo;
  std::set<std::string> seen;  // the same layer may stand twice in an image
  for (size_t i = 0; i < diff_ids.size(); ++i) {
    if (seen.insert(diff_ids[i]).second && !target_.has(diff_ids[i])) {
      todo.push_back(i);
    }
  }
  // The biggest first: it decides when the pull ends.
  std::stable_sort(todo.begin(), todo.end(), [&](size_t a, size_t b) {
    return manifest.layers[a].size_bytes > manifest.layers[b].size_bytes;
  });
  FirstFailure failure;
  const os::Call layer_call{.deadline = call.deadline, .cancelled = [&] {
                              return failure.failed() || call.IsCancelled();
                            }};
  std::atomic<size_t> next{0};
  const auto work = [&, request_id = std::string(os::CurrentRequestId())] {
    const os::LogRequestScope scope(request_id);
    for (size_t n = next++; n < todo.size() && !failure.failed(); n = next++) {
      const size_t i = todo[n];
      const absl::Status fetched =
          FetchLayer(source, manifest.layers[i], diff_ids[i], layer_call);
      if (!fetched.ok()) {
        failure.Set(os::Annotate(
            fetched, absl::StrCat("layer ", i + 1, " of ", diff_ids.size())));
      }
    }
  };
  {
    const size_t threads = std::min<size_t>(
        todo.size(),
        static_cast<size_t>(std::max(1, options_.max_parallel_layers)));
    std::vector<std::jthread> workers;
    try {
      for (size_t i = 1; i < threads; ++i) {
        workers.emplace_back(work);
      }
    } catch (const std::system_error& e) {
      spdlog::warn("pull with {} threads instead of {}: {}", workers.size() + 1,
                   threads, e.what());
    }
    work();  // this thread is one of them
  }          // joins
  return failure.status();
}

absl::Status ImageFetcher::FetchLayer(ImageSource& source,
                                      const Descriptor& layer,
                                      const std::string& diff_id,
                                      const os::Call& call) {
  // First the layer, then the slot: who holds a slot never waits for a layer.
  QUOLL_ASSIGN_OR_RETURN(const os::KeyedMutex::Lock lock,
                         AcquireFor(layers_in_work_, diff_id, call));
  if (target_.has(diff_id)) {
    return absl::OkStatus();  // another pull has brought it meanwhile
  }
  Slots::Slot slot(&node_slots_);
  QUOLL_RETURN_IF_ERROR(slot.Acquire(call));
  QUOLL_ASSIGN_OR_RETURN(const std::unique_ptr<LayerWriter> writer,
                         target_.begin(diff_id, call));
  VerifyingSink sink(layer, *writer);
  QUOLL_RETURN_IF_ERROR(source.FetchBlob(
      layer, 0, [&](absl::string_view chunk) { return sink.Take(chunk); },
      call));
  QUOLL_RETURN_IF_ERROR(sink.Verify());
  return os::Annotate(writer->Commit(), absl::StrCat("unpack ", diff_id));
}

}  // namespace quoll::image
