// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <set>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"

#include "image/http_client.h"
#include "image/image_source.h"
#include "image/reference.h"
#include "image/registry_auth.h"
#include "os/call.h"

namespace quoll::image {

// How registries are reached; the same for all of them.
struct RegistryOptions {
  HttpClient::Options http;
  // "host" or "host:port" of registries without TLS. Loopback hosts need not be
  // listed: they fall back to HTTP when they do not speak TLS.
  std::set<std::string> plain_http;
  // What can be worth a retry (network, 5xx, 429) is tried so often in a row
  // without progress, with growing, jittered pauses between.
  int max_attempts = 5;
  absl::Duration first_backoff = absl::Milliseconds(400);
  absl::Duration max_backoff = absl::Seconds(15);
};

// One repository of a registry (OCI distribution-spec 1.1), read only. A blob
// download that breaks is resumed with a Range request inside FetchBlob.
// Thread-safe; blocks until the call's deadline at most.
class RegistrySource : public ImageSource {
 public:
  // `http` must outlive the source; no I/O. Tag and digest of `reference` do
  // not matter here.
  RegistrySource(const RegistryOptions& options, HttpClient& http,
                 const Reference& reference, Credentials credentials);

  absl::StatusOr<Manifest> FetchManifest(const std::string& tag_or_digest,
                                         const os::Call& call) override;
  absl::Status FetchBlob(const Descriptor& blob, int64_t offset,
                         const ByteSink& sink, const os::Call& call) override;

 private:
  std::string BaseUrl(const std::string& scheme) const;
  absl::StatusOr<HttpResponse> Get(const std::string& path, HttpRequest request,
                                   const os::Call& call);
  absl::StatusOr<HttpResponse> GetOnce(const HttpRequest& request,
                                       const os::Call& call);
  struct Attempt {
    bool progress = false;  // got somewhere: not one more failure in a row
    bool final = false;     // the error is our side's: do not try again
  };
  absl::Status Retrying(const std::function<absl::Status(Attempt*)>& attempt,
                        const os::Call& call) const;

  const RegistryOptions options_;
  HttpClient& http_;
  const std::string name_;  // for messages: registry/repository
  const std::string host_;  // host[:port] to connect to
  const std::string repository_;
  RegistryAuth auth_;
  mutable absl::Mutex mutex_;
  // "" until a loopback registry has shown what it speaks.
  std::string scheme_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace quoll::image
