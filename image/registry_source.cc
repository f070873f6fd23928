// SPDX-License-Identifier: Apache-2.0
#include "image/registry_source.h"

#include <algorithm>
#include <optional>
#include <random>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/cord.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "absl/time/clock.h"

#include "image/bounded_json.h"
#include "image/digest.h"
#include "image/manifest.h"
#include "image/waiting.h"
#include "nlohmann/json.hpp"
#include "os/annotate.h"
#include "os/status_macros.h"

namespace quoll::image {
namespace {

constexpr char kAccept[] =
    "Accept: application/vnd.oci.image.index.v1+json, "
    "application/vnd.oci.image.manifest.v1+json, "
    "application/vnd.docker.distribution.manifest.list.v2+json, "
    "application/vnd.docker.distribution.manifest.v2+json";
constexpr char kRetryAfterPayload[] = "quoll/retry-after";
// As much progress makes a broken transfer count as a fresh one.
constexpr int64_t kProgressBytes = 1 << 20;
// A registry may not park us for longer than this.
constexpr int64_t kMaxRetryAfterSeconds = 60;

std::string HostToConnect(const std::string& registry) {
  return registry == "docker.io" ? "registry-1.docker.io" : registry;
}

// Text of a stranger for our messages and logs: short, one line, no escapes.
std::string Sanitised(absl::string_view text) {
  std::string clean;
  for (const char c : text.substr(0, 200)) {
    clean.push_back(absl::ascii_isprint(c) ? c : '?');
  }
  return clean;
}

// ": CODE: message" of {"errors":[{...}]}, or "".
std::string ErrorText(absl::string_view body) {
  const absl::StatusOr<nlohmann::json> document = ParseBoundedJson(body, "");
  if (!document.ok() || !document->is_object()) {
    return "";
  }
  const auto errors = document->find("errors");
  if (errors == document->end() || !errors->is_array() || errors->empty() ||
      !errors->front().is_object()) {
    return "";
  }
  std::string text;
  for (const char* key : {"code", "message"}) {
    const auto it = errors->front().find(key);
    if (it != errors->front().end() && it->is_string()) {
      absl::StrAppend(&text, ": ",
                      Sanitised(it->get_ref<const std::string&>()));
    }
  }
  return text;
}

absl::Status StatusOfAnswer(const HttpResponse& response) {
  const std::string text =
      absl::StrCat("HTTP ", response.status, ErrorText(response.body));
  switch (response.status) {
    case 401:
    case 403:
      return absl::PermissionDeniedError(
          absl::StrCat(text,
                       "; the repository does not exist or needs (other) "
                       "credentials"));
    case 404:
      return absl::NotFoundError(text);
    case 408:
    case 429: {
      absl::Status status =
          response.status == 429
              ? absl::ResourceExhaustedError(
                    absl::StrCat(text, "; the registry limits its clients"))
              : absl::UnavailableError(text);
      status.SetPayload(kRetryAfterPayload,
                        absl::Cord(response.Header("retry-after")));
      return status;
    }
    default:
      break;
  }
  if (response.status >= 500) {
    absl::Status status = absl::UnavailableError(text);
    status.SetPayload(kRetryAfterPayload,
                      absl::Cord(response.Header("retry-after")));
    return status;
  }
  return absl::FailedPreconditionError(
      absl::StrCat(text, "; not an answer that a registry should give"));
}

bool IsWorthRetrying(const absl::Status& status) {
  return absl::IsUnavailable(status) || absl::IsResourceExhausted(status);
}

// The seconds form of Retry-After; dates are rare and taken as absent.
std::optional<absl::Duration> RetryAfter(const absl::Status& status) {
  const absl::optional<absl::Cord> payload =
      status.GetPayload(kRetryAfterPayload);
  int64_t seconds = 0;
  if (!payload || !absl::SimpleAtoi(std::string(*payload), &seconds) ||
      seconds < 0) {
    return std::nullopt;
  }
  return absl::Seconds(std::min(seconds, kMaxRetryAfterSeconds));
}

absl::Status Pause(absl::Duration pause, const os::Call& call) {
  const absl::Time end = absl::Now() + pause;
  if (end >= call.deadline) {
    return absl::DeadlineExceededError("no time is left for another attempt");
  }
  while (absl::Now() < end) {
    QUOLL_RETURN_IF_ERROR(CheckCall(call));
    absl::SleepFor(std::min(kCancelTick, end - absl::Now()));
  }
  return absl::OkStatus();
}

// First byte of a 206's "bytes 100-199/200"; -1 when it cannot be read.
int64_t RangeStart(const HttpResponse& response) {
  const std::string header = response.Header("content-range");
  absl::string_view range = header;
  int64_t start = -1;
  if (!absl::ConsumePrefix(&range, "bytes ") ||
      !absl::SimpleAtoi(range.substr(0, range.find('-')), &start)) {
    return -1;
  }
  return start;
}

// Puts the answers of several attempts together into one stream: lets the sink
// see each byte once, and none past the blob's announced end.
class BlobStream {
 public:
  BlobStream(int64_t start, int64_t end, const ByteSink& sink)
      : next_(start), end_(end), sink_(sink) {}

  int64_t next() const { return next_; }
  bool complete() const { return next_ >= end_; }
  // The sink did not take a chunk: bytes are lost, so there is no going on.
  bool refused() const { return refused_; }

  absl::Status Begin(const HttpResponse& response) {
    // A server without ranges answers 200 and starts over.
    const int64_t start = response.status == 206 ? RangeStart(response) : 0;
    if (start < 0 || start > next_) {
      return absl::UnavailableError(
          absl::StrCat("the answer to a request for bytes from ", next_,
                       " has Content-Range \"",
                       Sanitised(response.Header("content-range")), "\""));
    }
    skip_ = next_ - start;
    return absl::OkStatus();
  }

  absl::Status Take(absl::string_view chunk) {
    const size_t skipped = static_cast<size_t>(
        std::min(skip_, static_cast<int64_t>(chunk.size())));
    chunk.remove_prefix(skipped);
    skip_ -= static_cast<int64_t>(skipped);
    if (chunk.empty()) {
      return absl::OkStatus();
    }
    if (static_cast<int64_t>(chunk.size()) > end_ - next_) {
      return absl::DataLossError(absl::StrCat("more bytes came than the ", end_,
                                              " that the manifest says"));
    }
    next_ += static_cast<int64_t>(chunk.size());
    absl::Status taken = sink_(chunk);
    refused_ = !taken.ok();
    return taken;
  }

 private:
  int64_t next_;
  const int64_t end_;
  int64_t skip_ = 0;
  bool refused_ = false;
  const ByteSink& sink_;
};

}  // namespace

RegistrySource::RegistrySource(const RegistryOptions& options, HttpClient& http,
                               const Reference& reference,
                               Credentials credentials)
    : options_(options),
      http_(http),
      name_(reference.Name()),
      host_(HostToConnect(reference.registry)),
      repository_(reference.repository),
      auth_(http, std::move(credentials)) {
  const std::string host = HostOfUrl(absl::StrCat("https://", host_));
  if (options_.plain_http.count(host_) > 0 ||
      options_.plain_http.count(host) > 0) {
    scheme_ = "http";
  } else if (!IsLoopbackHost(host)) {
    scheme_ = "https";
  }
}

std::string RegistrySource::BaseUrl(const std::string& scheme) const {
  return absl::StrCat(scheme, "://", host_, "/v2/", repository_, "/");
}

absl::StatusOr<HttpResponse> RegistrySource::Get(const std::string& path,
                                                 HttpRequest request,
                                                 const os::Call& call) {
  std::string scheme;
  {
    absl::MutexLock lock(&mutex_);
    scheme = scheme_;
  }
  const std::string used_scheme = scheme.empty() ? "https" : scheme;
  request.url = BaseUrl(used_scheme) + path;
  absl::StatusOr<HttpResponse> response = GetOnce(request, call);
  if (!scheme.empty()) {
    return response;
  }
  // A loopback registry that has not been talked to yet. Only "this is not
  // TLS" leads to HTTP; a certificate that is not trusted does not.
  if (!response.ok() && HttpClient::IsNotTls(response.status())) {
    scheme = "http";
    request.url = BaseUrl(scheme) + path;
    response = GetOnce(request, call);
  } else {
    scheme = "https";
  }
  if (response.ok()) {
    absl::MutexLock lock(&mutex_);
    scheme_ = scheme;
  }
  return response;
}

// One request, and a second one when the first is told to authenticate.
absl::StatusOr<HttpResponse> RegistrySource::GetOnce(const HttpRequest& request,
                                                     const os::Call& call) {
  absl::StatusOr<HttpResponse> response;
  for (int round = 0; round < 2; ++round) {
    HttpRequest authorized = request;
    const std::string header = auth_.HeaderFor(request.url);
    if (!header.empty()) {
      authorized.headers.push_back(header);
    }
    response = http_.Do(authorized, call);
    // A storage host that we were redirected to cannot ask for a log-in.
    if (!response.ok() || response->status != 401 || round == 1 ||
        OriginOfUrl(response->effective_url) != OriginOfUrl(request.url)) {
      return response;
    }
    QUOLL_RETURN_IF_ERROR(
        auth_.Answer(request.url, header, *response,
                     absl::StrCat("repository:", repository_, ":pull"), call));
  }
  return response;
}

// Runs `attempt` until it succeeds, fails for good, or has failed too often in
// a row.
absl::Status RegistrySource::Retrying(
    const std::function<absl::Status(Attempt*)>& attempt,
    const os::Call& call) const {
  // Jitter needs no secrecy, only that nodes differ.
  std::minstd_rand random(static_cast<unsigned>(
      absl::GetCurrentTimeNanos() ^ reinterpret_cast<uintptr_t>(&call)));
  std::uniform_real_distribution<double> fraction(0.0, 1.0);
  int failures = 0;
  while (true) {
    Attempt result;
    absl::Status status = attempt(&result);
    if (status.ok() || result.final || !IsWorthRetrying(status)) {
      return status;
    }
    failures = result.progress ? 1 : failures + 1;
    if (failures >= options_.max_attempts) {
      return failures == 1
                 ? status
                 : os::Annotate(status, absl::StrCat(failures, " attempts"));
    }
    // "Equal jitter": half of the pause is certain, half is random, so that
    // many nodes do not come back at the same instant.
    const absl::Duration full =
        std::min(options_.first_backoff * (1 << std::min(failures - 1, 16)),
                 options_.max_backoff);
    const absl::Duration pause =
        RetryAfter(status).value_or(full / 2 + full / 2 * fraction(random));
    if (const absl::Status paused = Pause(pause, call); !paused.ok()) {
      return os::Annotate(paused,
                          absl::StrCat("after \"", status.message(), "\""));
    }
  }
}

absl::StatusOr<ImageSource::Manifest> RegistrySource::FetchManifest(
    const std::string& tag_or_digest, const os::Call& call) {
  Manifest manifest;
  const absl::Status fetched = Retrying(
      [&](Attempt*) -> absl::Status {
        HttpRequest request;
        request.headers.push_back(kAccept);
        request.max_body_bytes = kMaxDocumentBytes;
        QUOLL_ASSIGN_OR_RETURN(
            HttpResponse response,
            Get(absl::StrCat("manifests/", tag_or_digest), request, call));
        if (response.status != 200) {
          return StatusOfAnswer(response);
        }
        const std::string type = response.Header("content-type");
        manifest.descriptor.media_type = std::string(
            absl::StripAsciiWhitespace(type.substr(0, type.find(';'))));
        manifest.content = std::move(response.body);
        return absl::OkStatus();
      },
      call);
  if (!fetched.ok()) {
    return os::Annotate(
        fetched, absl::StrCat(name_, ": fetch manifest ", tag_or_digest));
  }
  manifest.descriptor.digest = DigestOf(manifest.content);
  manifest.descriptor.size_bytes =
      static_cast<int64_t>(manifest.content.size());
  return manifest;
}

absl::Status RegistrySource::FetchBlob(const Descriptor& blob, int64_t offset,
                                       const ByteSink& sink,
                                       const os::Call& call) {
  // The digest comes from a manifest and becomes part of a URL.
  if (!IsDigest(blob.digest) || offset < 0 || offset > blob.size_bytes) {
    return absl::InvalidArgumentError(
        absl::StrCat(name_, ": fetch blob: bad digest or offset"));
  }
  BlobStream stream(offset, blob.size_bytes, sink);
  const auto attempt = [&](Attempt* result) -> absl::Status {
    const int64_t before = stream.next();
    HttpRequest request;
    request.max_body_bytes = 64u << 10;  // of an error
    if (before > 0) {
      request.headers.push_back(absl::StrCat("Range: bytes=", before, "-"));
    }
    request.on_head = [&](const HttpResponse& r) { return stream.Begin(r); };
    request.sink = [&](absl::string_view chunk) { return stream.Take(chunk); };
    const absl::StatusOr<HttpResponse> response =
        Get(absl::StrCat("blobs/", blob.digest), std::move(request), call);
    result->progress = stream.next() - before >= kProgressBytes;
    result->final = stream.refused();
    QUOLL_RETURN_IF_ERROR(response.status());
    if (response->status != 200 && response->status != 206) {
      return StatusOfAnswer(*response);
    }
    if (!stream.complete()) {
      return absl::UnavailableError(absl::StrCat("the transfer ended after ",
                                                 stream.next(), " of ",
                                                 blob.size_bytes, " bytes"));
    }
    return absl::OkStatus();
  };
  // An empty rest needs no request (and a Range for it would be refused).
  const absl::Status fetched =
      stream.complete() ? absl::OkStatus() : Retrying(attempt, call);
  return os::Annotate(fetched,
                      absl::StrCat(name_, ": fetch blob ", blob.digest));
}

}  // namespace quoll::image
