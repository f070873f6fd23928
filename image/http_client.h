// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"

#include "image/image_source.h"
#include "os/call.h"

namespace quoll::image {

struct HttpRequest {
  std::string url;
  std::vector<std::string> headers;  // "Name: value"
  bool post = false;
  std::string post_body;
  bool follow_redirects = true;  // false where the body is a secret
  // Gets the body of a 2xx answer when set; else it goes to `body`, and so does
  // the body of every other answer, cut there.
  ByteSink sink;
  // Sees a 2xx answer before its body. Non-OK ends the request.
  std::function<absl::Status(const struct HttpResponse&)> on_head;
  size_t max_body_bytes = 4u << 20;
};

struct HttpResponse {
  long status = 0;
  std::map<std::string, std::vector<std::string>> headers;  // lower-case names
  std::string body;
  bool body_truncated = false;
  std::string effective_url;  // after redirects

  std::string Header(const std::string& lower_case_name) const;  // first or ""
};

// HTTP/1.1 over libcurl: TLS verified, at most ten redirects and never from
// https to http; an Authorization header goes to the host it was made for and
// nowhere else. Connections are kept for the next request. Thread-safe; blocks
// until the call's deadline at most.
class HttpClient {
 public:
  struct Options {
    std::string user_agent = "quoll/0.1";
    std::string ca_file;                                 // "": the system's
    std::string ca_directory;                            // "": the system's
    absl::Duration connect_timeout = absl::Seconds(15);  // with TLS handshake
    // A transfer as a whole may take any time, but each stretch of this length
    // that the network is waited for must bring `stall_bytes`.
    absl::Duration stall_timeout = absl::Seconds(45);
    int64_t stall_bytes = 1024;
  };
  explicit HttpClient(Options options);
  ~HttpClient();

  // Any HTTP answer is OK here, 404 included. Errors: Unavailable (network;
  // worth retrying), FailedPrecondition (TLS; says what to do),
  // DeadlineExceeded, Cancelled, and what `sink` or `on_head` returned.
  absl::StatusOr<HttpResponse> Do(const HttpRequest& request,
                                  const os::Call& call);

  // Did this failure mean that the other side does not speak TLS at all?
  static bool IsNotTls(const absl::Status& status);

 private:
  class Connection;
  class Transfer;
  struct Pool;
  Options options_;
  std::unique_ptr<Pool> pool_;
};

// Is `host` ("localhost", "127.9.9.9", "[::1]", "::1") this machine itself?
bool IsLoopbackHost(absl::string_view host);

// "host" of "https://host:port/path"; "" when there is none.
std::string HostOfUrl(absl::string_view url);

// "scheme://host:port" of a URL, with the default port written out.
std::string OriginOfUrl(absl::string_view url);

}  // namespace quoll::image
