// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <map>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"

#include "image/http_client.h"
#include "image/image_source.h"
#include "os/call.h"

namespace quoll::image {

// One challenge of a WWW-Authenticate header (RFC 9110, section 11.6.1).
struct AuthChallenge {
  std::string scheme;                         // lower-case: "bearer", "basic"
  std::map<std::string, std::string> params;  // lower-case names
};

// Several challenges may stand in one header. What cannot be read is left out.
std::vector<AuthChallenge> ParseChallenges(absl::string_view header);

// Makes the Authorization header of one repository: from credentials at once
// (registry token), or from what the registry asks for: Basic, or the token
// flow of the distribution spec. Credentials never cross an unprotected line to
// another machine and never appear in messages. Thread-safe; blocks in Answer.
class RegistryAuth {
 public:
  // `http` must outlive this.
  RegistryAuth(HttpClient& http, Credentials credentials);

  // The header's line for a request to `url`, or "" for none.
  std::string HeaderFor(const std::string& url) const;

  // Answers the challenge of a 401 to a request to `url` that carried
  // `used_header`. After OK, HeaderFor gives something new to try.
  // PermissionDenied when there is nothing more to offer.
  absl::Status Answer(const std::string& url, const std::string& used_header,
                      const HttpResponse& refused, const std::string& scope,
                      const os::Call& call);

 private:
  absl::StatusOr<std::string> FetchToken(const AuthChallenge& challenge,
                                         const std::string& url,
                                         const std::string& default_scope,
                                         const os::Call& call);

  HttpClient& http_;
  const Credentials credentials_;
  mutable absl::Mutex mutex_;
  std::string header_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace quoll::image
