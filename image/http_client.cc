// SPDX-License-Identifier: Apache-2.0
#include "image/http_client.h"

#include <arpa/inet.h>
#include <netinet/in.h>

#include <algorithm>
#include <mutex>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/strings/ascii.h"
#include "absl/strings/cord.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/clock.h"

#include "curl/curl.h"
#include "image/waiting.h"
#include "os/status_macros.h"

namespace quoll::image {
namespace {

constexpr char kNotTlsPayload[] = "quoll/not-tls";
constexpr size_t kMaxHeaderBytes = 64u << 10;
constexpr size_t kMaxIdleConnections = 8;

struct UrlFree {
  void operator()(CURLU* url) const { curl_url_cleanup(url); }
};

std::string UrlPart(absl::string_view url, CURLUPart part, unsigned flags) {
  const std::unique_ptr<CURLU, UrlFree> parsed(curl_url());
  char* text = nullptr;
  if (parsed == nullptr ||
      curl_url_set(parsed.get(), CURLUPART_URL, std::string(url).c_str(), 0) !=
          CURLUE_OK ||
      curl_url_get(parsed.get(), part, &text, flags) != CURLUE_OK) {
    return "";
  }
  std::string result = text;
  curl_free(text);
  return result;
}

// libcurl's words for a failed transfer, as our code and what to do about it.
absl::Status CurlError(CURLcode code, const char* detail) {
  const std::string words =
      absl::StrCat(detail[0] != '\0' ? detail : curl_easy_strerror(code),
                   " (curl ", static_cast<int>(code), ")");
  switch (code) {
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_ISSUER_ERROR:
      return absl::FailedPreconditionError(absl::StrCat(
          "the server's certificate is not trusted: ", words,
          "; install its CA on this node or name it as the registry's CA"));
    case CURLE_SSL_CACERT_BADFILE:
    case CURLE_SSL_CERTPROBLEM:
    case CURLE_SSL_CIPHER:
    case CURLE_SSL_ENGINE_NOTFOUND:
    case CURLE_SSL_ENGINE_SETFAILED:
      return absl::FailedPreconditionError(
          absl::StrCat("TLS cannot be set up: ", words,
                       "; check the configured CA file and directory"));
    case CURLE_SSL_CONNECT_ERROR: {
      absl::Status status = absl::FailedPreconditionError(absl::StrCat(
          "TLS handshake failed: ", words,
          "; if this registry speaks plain HTTP, list it as such"));
      status.SetPayload(kNotTlsPayload, absl::Cord("1"));
      return status;
    }
    case CURLE_TOO_MANY_REDIRECTS:
      return absl::FailedPreconditionError(
          absl::StrCat("redirected in circles: ", words));
    case CURLE_UNSUPPORTED_PROTOCOL:
    case CURLE_URL_MALFORMAT:
      return absl::FailedPreconditionError(absl::StrCat(
          "refused URL or redirect (from https only https is followed): ",
          words));
    case CURLE_OUT_OF_MEMORY:
      return absl::ResourceExhaustedError(words);
    default:  // the network, at one layer or another
      return absl::UnavailableError(words);
  }
}

}  // namespace

std::string HttpResponse::Header(const std::string& lower_case_name) const {
  const auto it = headers.find(lower_case_name);
  return it == headers.end() || it->second.empty() ? "" : it->second.front();
}

// A multi handle: it owns the TCP connections that stay open between requests.
// Used by one thread at a time.
class HttpClient::Connection {
 public:
  Connection() : multi_(curl_multi_init()) {}
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;
  ~Connection() { curl_multi_cleanup(multi_); }
  CURLM* multi() const { return multi_; }

 private:
  CURLM* multi_;
};

struct HttpClient::Pool {
  absl::Mutex mutex;
  std::vector<std::unique_ptr<Connection>> idle ABSL_GUARDED_BY(mutex);
};

// One request on one connection. Lives on the stack of Do().
class HttpClient::Transfer {
 public:
  Transfer(const Options& options, const HttpRequest& request,
           const os::Call& call, Connection& connection)
      : options_(options),
        request_(request),
        call_(call),
        multi_(connection.multi()),
        easy_(curl_easy_init()) {}
  Transfer(const Transfer&) = delete;
  Transfer& operator=(const Transfer&) = delete;

  ~Transfer() {
    curl_easy_cleanup(easy_);
    curl_slist_free_all(header_list_);
  }

  absl::StatusOr<HttpResponse> Run() {
    if (multi_ == nullptr || easy_ == nullptr) {
      return absl::ResourceExhaustedError("libcurl: out of memory");
    }
    QUOLL_RETURN_IF_ERROR(SetUp());
    if (const CURLMcode code = curl_multi_add_handle(multi_, easy_);
        code != CURLM_OK) {
      return absl::InternalError(
          absl::StrCat("libcurl: ", curl_multi_strerror(code)));
    }
    const absl::Status driven = Drive();
    curl_multi_remove_handle(multi_, easy_);
    // What our own callbacks said explains libcurl's "write error".
    QUOLL_RETURN_IF_ERROR(callback_error_);
    QUOLL_RETURN_IF_ERROR(driven);
    curl_easy_getinfo(easy_, CURLINFO_RESPONSE_CODE, &response_.status);
    char* url = nullptr;
    if (curl_easy_getinfo(easy_, CURLINFO_EFFECTIVE_URL, &url) == CURLE_OK &&
        url != nullptr) {
      response_.effective_url = url;
    }
    QUOLL_RETURN_IF_ERROR(AnnounceHead());  // of an answer without a body
    return std::move(response_);
  }

 private:
  template <typename T>
  void Set(CURLoption option, T value) {
    const CURLcode code = curl_easy_setopt(easy_, option, value);
    if (code != CURLE_OK && setup_error_.ok()) {
      setup_error_ = CurlError(code, "");
    }
  }

  absl::Status SetUp() {
    Set(CURLOPT_URL, request_.url.c_str());
    Set(CURLOPT_NOSIGNAL, 1L);
    // Leave a name look-up that hangs to its thread instead of joining it.
    Set(CURLOPT_QUICK_EXIT, 1L);
    Set(CURLOPT_HTTP_VERSION, static_cast<long>(CURL_HTTP_VERSION_1_1));
    Set(CURLOPT_USERAGENT, options_.user_agent.c_str());
    Set(CURLOPT_BUFFERSIZE, 256L << 10);
    Set(CURLOPT_CONNECTTIMEOUT_MS,
        static_cast<long>(absl::ToInt64Milliseconds(options_.connect_timeout)));
    Set(CURLOPT_ERRORBUFFER, error_text_);
    // A redirect must neither lower the protection nor reach file:// and the
    // like; libcurl itself drops our Authorization for another host or port.
    const bool https = absl::StartsWith(request_.url, "https:");
    Set(CURLOPT_PROTOCOLS_STR, https ? "https" : "http");
    Set(CURLOPT_REDIR_PROTOCOLS_STR, https ? "https" : "http,https");
    Set(CURLOPT_FOLLOWLOCATION, request_.follow_redirects ? 1L : 0L);
    Set(CURLOPT_MAXREDIRS, 10L);
    Set(CURLOPT_UNRESTRICTED_AUTH, 0L);
    if (IsLoopbackHost(HostOfUrl(request_.url))) {
      Set(CURLOPT_NOPROXY, "*");  // a proxy's loopback is not ours
    }
    if (!options_.ca_file.empty()) {
      Set(CURLOPT_CAINFO, options_.ca_file.c_str());
    }
    if (!options_.ca_directory.empty()) {
      Set(CURLOPT_CAPATH, options_.ca_directory.c_str());
    }
    for (const std::string& header : request_.headers) {
      curl_slist* longer = curl_slist_append(header_list_, header.c_str());
      if (longer == nullptr) {
        return absl::ResourceExhaustedError("libcurl: out of memory");
      }
      header_list_ = longer;
    }
    Set(CURLOPT_HTTPHEADER, header_list_);
    if (request_.post) {
      Set(CURLOPT_POST, 1L);
      Set(CURLOPT_POSTFIELDSIZE_LARGE,
          static_cast<curl_off_t>(request_.post_body.size()));
      Set(CURLOPT_POSTFIELDS, request_.post_body.c_str());
    }
    Set(CURLOPT_WRITEFUNCTION, &Transfer::OnBody);
    Set(CURLOPT_WRITEDATA, static_cast<void*>(this));
    Set(CURLOPT_HEADERFUNCTION, &Transfer::OnHeader);
    Set(CURLOPT_HEADERDATA, static_cast<void*>(this));
    return setup_error_;
  }

  // Runs the transfer in steps short enough to notice the caller.
  absl::Status Drive() {
    window_start_ = absl::Now();
    int running = 1;
    while (true) {
      const CURLMcode code = curl_multi_perform(multi_, &running);
      if (code != CURLM_OK) {
        return absl::InternalError(
            absl::StrCat("libcurl: ", curl_multi_strerror(code)));
      }
      if (running == 0) {
        return Outcome();
      }
      QUOLL_RETURN_IF_ERROR(CheckWait());
      const absl::Duration wait = std::clamp(
          call_.deadline - absl::Now(), absl::Milliseconds(1), kCancelTick);
      curl_multi_poll(multi_, nullptr, 0,
                      static_cast<int>(absl::ToInt64Milliseconds(wait)),
                      nullptr);
    }
  }

  absl::Status Outcome() {
    int left = 0;
    while (const CURLMsg* message = curl_multi_info_read(multi_, &left)) {
      if (message->msg == CURLMSG_DONE && message->easy_handle == easy_) {
        return message->data.result == CURLE_OK
                   ? absl::OkStatus()
                   : CurlError(message->data.result, error_text_);
      }
    }
    return absl::InternalError("libcurl: a transfer ended without a result");
  }

  absl::Status CheckWait() {
    const absl::Time now = absl::Now();
    QUOLL_RETURN_IF_ERROR(CheckCall(call_));
    if (window_bytes_ >= options_.stall_bytes) {
      window_start_ = now;
      window_bytes_ = 0;
    } else if (now - window_start_ > options_.stall_timeout) {
      return absl::UnavailableError(absl::StrCat(
          "the server sent ", window_bytes_, " bytes in ",
          absl::FormatDuration(options_.stall_timeout), "; given up on it"));
    }
    return absl::OkStatus();
  }

  absl::Status AnnounceHead() {
    long status = 0;
    curl_easy_getinfo(easy_, CURLINFO_RESPONSE_CODE, &status);
    response_.status = status;
    if (head_announced_ || status < 200 || status > 299) {
      return absl::OkStatus();
    }
    head_announced_ = true;
    return request_.on_head ? request_.on_head(response_) : absl::OkStatus();
  }

  absl::Status TakeBody(absl::string_view chunk) {
    QUOLL_RETURN_IF_ERROR(AnnounceHead());
    window_bytes_ += static_cast<int64_t>(chunk.size());
    const bool success = response_.status >= 200 && response_.status <= 299;
    if (success && request_.sink) {
      // A consumer that takes its time is not the server's stall.
      const absl::Time before = absl::Now();
      absl::Status taken = request_.sink(chunk);
      window_start_ += absl::Now() - before;
      return taken;
    }
    const size_t room = request_.max_body_bytes - response_.body.size();
    if (chunk.size() > room) {
      response_.body_truncated = true;
      if (success) {
        return absl::DataLossError(
            absl::StrCat("the answer is bigger than the limit of ",
                         request_.max_body_bytes, " bytes"));
      }
    }
    absl::StrAppend(&response_.body, chunk.substr(0, room));
    return absl::OkStatus();
  }

  void TakeHeader(absl::string_view line) {
    window_bytes_ += static_cast<int64_t>(line.size());
    if (absl::StartsWith(line, "HTTP/")) {  // the next answer of the chain
      response_.headers.clear();
      header_bytes_ = 0;
      return;
    }
    header_bytes_ += line.size();
    const size_t colon = line.find(':');
    if (colon == absl::string_view::npos || header_bytes_ > kMaxHeaderBytes) {
      return;
    }
    response_.headers[absl::AsciiStrToLower(line.substr(0, colon))].push_back(
        std::string(absl::StripAsciiWhitespace(line.substr(colon + 1))));
  }

  static size_t OnBody(char* data, size_t size, size_t count, void* self) {
    auto* transfer = static_cast<Transfer*>(self);
    const absl::Status taken =
        transfer->TakeBody(absl::string_view(data, size * count));
    if (!taken.ok()) {
      transfer->callback_error_ = taken;
      return 0;  // CURLE_WRITE_ERROR
    }
    return size * count;
  }

  static size_t OnHeader(char* data, size_t size, size_t count, void* self) {
    static_cast<Transfer*>(self)->TakeHeader(
        absl::string_view(data, size * count));
    return size * count;
  }

  const Options& options_;
  const HttpRequest& request_;
  const os::Call& call_;
  CURLM* multi_;
  // One per request: after a name that was not found, libcurl 7.88 refuses
  // options (CURLOPT_BUFFERSIZE, with error 43) on a handle that was reset.
  CURL* easy_;
  curl_slist* header_list_ = nullptr;
  char error_text_[CURL_ERROR_SIZE] = "";
  absl::Status setup_error_;
  absl::Status callback_error_;
  HttpResponse response_;
  bool head_announced_ = false;
  size_t header_bytes_ = 0;
  absl::Time window_start_;
  int64_t window_bytes_ = 0;
};

HttpClient::HttpClient(Options options)
    : options_(std::move(options)), pool_(std::make_unique<Pool>()) {
  // Explicit, because the implicit call of curl_easy_init is the part that was
  // not thread-safe before 7.84.
  static std::once_flag once;
  std::call_once(once, [] { curl_global_init(CURL_GLOBAL_ALL); });
}

HttpClient::~HttpClient() = default;

absl::StatusOr<HttpResponse> HttpClient::Do(const HttpRequest& request,
                                            const os::Call& call) {
  QUOLL_RETURN_IF_ERROR(CheckCall(call));
  std::unique_ptr<Connection> connection;
  {
    absl::MutexLock lock(&pool_->mutex);
    if (!pool_->idle.empty()) {
      connection = std::move(pool_->idle.back());
      pool_->idle.pop_back();
    }
  }
  if (connection == nullptr) {
    connection = std::make_unique<Connection>();
  }
  absl::StatusOr<HttpResponse> response =
      Transfer(options_, request, call, *connection).Run();
  absl::MutexLock lock(&pool_->mutex);
  if (pool_->idle.size() < kMaxIdleConnections) {
    pool_->idle.push_back(std::move(connection));
  }
  return response;
}

bool HttpClient::IsNotTls(const absl::Status& status) {
  return status.GetPayload(kNotTlsPayload).has_value();
}

bool IsLoopbackHost(absl::string_view host) {
  if (!host.empty() && host.front() == '[' && host.back() == ']') {
    host = host.substr(1, host.size() - 2);
  }
  const std::string name = absl::AsciiStrToLower(host);
  if (name == "localhost") {
    return true;
  }
  struct in_addr v4 = {};
  if (inet_pton(AF_INET, name.c_str(), &v4) == 1) {
    return (ntohl(v4.s_addr) >> 24) == 127;
  }
  struct in6_addr v6 = {};
  return inet_pton(AF_INET6, name.c_str(), &v6) == 1 &&
         IN6_IS_ADDR_LOOPBACK(&v6);
}

std::string HostOfUrl(absl::string_view url) {
  return UrlPart(url, CURLUPART_HOST, 0);
}

std::string OriginOfUrl(absl::string_view url) {
  return absl::StrCat(UrlPart(url, CURLUPART_SCHEME, 0), "://",
                      absl::AsciiStrToLower(HostOfUrl(url)), ":",
                      UrlPart(url, CURLUPART_PORT, CURLU_DEFAULT_PORT));
}

}  // namespace quoll::image
