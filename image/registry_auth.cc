// SPDX-License-Identifier: Apache-2.0
#include "image/registry_auth.h"

#include <algorithm>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"

#include "image/bounded_json.h"
#include "nlohmann/json.hpp"
#include "os/annotate.h"
#include "os/status_macros.h"

namespace quoll::image {
namespace {

constexpr size_t kMaxTokenBytes = 64u << 10;

// A header's value: no line break may end it early.
bool IsHeaderSafe(absl::string_view text) {
  return std::all_of(text.begin(), text.end(),
                     [](char c) { return c > ' ' && c < 0x7f; });
}

// May a secret be sent there? TLS, or a line that does not leave the machine.
bool IsProtected(const std::string& url) {
  return absl::StartsWith(url, "https:") || IsLoopbackHost(HostOfUrl(url));
}

std::string PercentEncode(absl::string_view text) {
  std::string encoded;
  for (const char c : text) {
    if (absl::ascii_isalnum(c) || c == '-' || c == '.' || c == '_' ||
        c == '~') {
      encoded.push_back(c);
    } else {
      absl::StrAppend(&encoded, "%",
                      absl::AsciiStrToUpper(absl::StrCat(absl::Hex(
                          static_cast<unsigned char>(c), absl::kZeroPad2))));
    }
  }
  return encoded;
}

std::string BasicHeader(const Credentials& credentials) {
  return absl::StrCat("Authorization: Basic ",
                      absl::Base64Escape(absl::StrCat(credentials.username, ":",
                                                      credentials.password)));
}

// Docker's custom: this user name says that the password is an identity token.
Credentials Normalised(Credentials credentials) {
  if (credentials.username == "<token>" && credentials.identity_token.empty()) {
    credentials.identity_token = std::move(credentials.password);
    credentials.username.clear();
    credentials.password.clear();
  }
  return credentials;
}

// Reads one header left to right.
class ChallengeReader {
 public:
  explicit ChallengeReader(absl::string_view text) : text_(text) {}

  std::vector<AuthChallenge> Read() {
    std::vector<AuthChallenge> challenges;
    while (true) {
      Skip(" \t,");
      const std::string word = Token();
      if (word.empty()) {
        return challenges;
      }
      Skip(" \t");
      if (!text_.empty() && text_.front() == '=' && !challenges.empty()) {
        text_.remove_prefix(1);
        Skip(" \t");
        challenges.back().params[absl::AsciiStrToLower(word)] = Value();
      } else {
        challenges.push_back({absl::AsciiStrToLower(word), {}});
      }
    }
  }

 private:
  void Skip(absl::string_view set) {
    text_.remove_prefix(std::min(text_.find_first_not_of(set), text_.size()));
  }
  std::string Token() {
    const size_t end = std::min(text_.find_first_of(" \t,=\""), text_.size());
    std::string token(text_.substr(0, end));
    text_.remove_prefix(end);
    return token;
  }
  std::string Value() {
    if (text_.empty() || text_.front() != '"') {
      return Token();
    }
    text_.remove_prefix(1);
    std::string value;
    while (!text_.empty() && text_.front() != '"') {
      if (text_.front() == '\\' && text_.size() > 1) {
        text_.remove_prefix(1);
      }
      value.push_back(text_.front());
      text_.remove_prefix(1);
    }
    if (!text_.empty()) {
      text_.remove_prefix(1);
    }
    return value;
  }

  absl::string_view text_;
};

absl::StatusOr<std::string> TokenFromAnswer(absl::string_view body) {
  // The parser's message could quote the token: it is not passed on.
  const absl::StatusOr<nlohmann::json> document = ParseBoundedJson(body, "");
  if (document.ok() && document->is_object()) {
    for (const char* key : {"token", "access_token"}) {
      const auto it = document->find(key);
      if (it == document->end() || !it->is_string()) {
        continue;
      }
      const auto& token = it->get_ref<const std::string&>();
      if (!token.empty() && token.size() <= kMaxTokenBytes &&
          IsHeaderSafe(token)) {
        return token;
      }
    }
  }
  return absl::UnavailableError("its answer holds no usable token");
}

}  // namespace

std::vector<AuthChallenge> ParseChallenges(absl::string_view header) {
  return ChallengeReader(header).Read();
}

RegistryAuth::RegistryAuth(HttpClient& http, Credentials credentials)
    : http_(http), credentials_(Normalised(std::move(credentials))) {
  if (!credentials_.registry_token.empty() &&
      IsHeaderSafe(credentials_.registry_token)) {
    header_ =
        absl::StrCat("Authorization: Bearer ", credentials_.registry_token);
  }
}

std::string RegistryAuth::HeaderFor(const std::string& url) const {
  if (!credentials_.empty() && !IsProtected(url)) {
    return "";
  }
  absl::MutexLock lock(&mutex_);
  return header_;
}

absl::Status RegistryAuth::Answer(const std::string& url,
                                  const std::string& used_header,
                                  const HttpResponse& refused,
                                  const std::string& scope,
                                  const os::Call& call) {
  if (const std::string newer = HeaderFor(url); newer != used_header) {
    return absl::OkStatus();  // another thread has already answered
  }
  if (!credentials_.empty() && !IsProtected(url)) {
    return absl::PermissionDeniedError(
        "the registry asks who we are, and credentials are not sent over "
        "plain HTTP; give the registry TLS");
  }
  if (!credentials_.registry_token.empty()) {
    return absl::PermissionDeniedError("the registry token was refused");
  }
  std::vector<AuthChallenge> challenges;
  if (const auto it = refused.headers.find("www-authenticate");
      it != refused.headers.end()) {
    for (const std::string& header : it->second) {
      for (AuthChallenge& challenge : ParseChallenges(header)) {
        challenges.push_back(std::move(challenge));
      }
    }
  }
  const auto find = [&](absl::string_view scheme) {
    return std::find_if(
        challenges.begin(), challenges.end(),
        [&](const AuthChallenge& c) { return c.scheme == scheme; });
  };
  std::string header;
  if (const auto bearer = find("bearer"); bearer != challenges.end()) {
    QUOLL_ASSIGN_OR_RETURN(std::string token,
                           FetchToken(*bearer, url, scope, call));
    header = absl::StrCat("Authorization: Bearer ", token);
  } else if (find("basic") == challenges.end()) {
    return absl::PermissionDeniedError(
        "access denied, and the registry offers no way to log in that Quoll "
        "knows (Basic, Bearer)");
  } else if (credentials_.username.empty()) {
    return absl::PermissionDeniedError(
        "the registry wants a user name and password, and none was given");
  } else {
    header = BasicHeader(credentials_);
    if (header == used_header) {
      return absl::PermissionDeniedError(
          "the user name or password was refused");
    }
  }
  absl::MutexLock lock(&mutex_);
  header_ = std::move(header);
  return absl::OkStatus();
}

absl::StatusOr<std::string> RegistryAuth::FetchToken(
    const AuthChallenge& challenge, const std::string& url,
    const std::string& default_scope, const os::Call& call) {
  const auto param = [&](const char* name) {
    const auto it = challenge.params.find(name);
    return it == challenge.params.end() ? std::string() : it->second;
  };
  const std::string realm = param("realm");
  const std::string subject =
      absl::StrCat("token service ", OriginOfUrl(realm));
  // Only a registry that is itself reached over plain HTTP may send us on to
  // a plain one.
  const bool https = absl::StartsWith(realm, "https://");
  if (!https && !(absl::StartsWith(realm, "http://") &&
                  absl::StartsWith(url, "http://"))) {
    return absl::FailedPreconditionError(absl::StrCat(
        subject, ": the registry names a token service that is not https"));
  }
  if (!credentials_.empty() && !IsProtected(realm)) {
    return absl::PermissionDeniedError(
        absl::StrCat(subject, ": credentials are not sent over plain HTTP"));
  }
  const std::string scope =
      param("scope").empty() ? default_scope : param("scope");
  std::string query = absl::StrCat("service=", PercentEncode(param("service")),
                                   "&scope=", PercentEncode(scope));
  HttpRequest request;
  request.max_body_bytes = 1u << 20;
  if (!credentials_.identity_token.empty()) {
    request.url = realm;
    request.post = true;
    // A 307 would carry the body, and the token in it, to wherever it says.
    request.follow_redirects = false;
    request.post_body = absl::StrCat(
        "grant_type=refresh_token&client_id=quoll&", query,
        "&refresh_token=", PercentEncode(credentials_.identity_token));
  } else {
    request.url =
        absl::StrCat(realm, absl::StrContains(realm, '?') ? "&" : "?", query);
    if (!credentials_.username.empty()) {
      request.headers.push_back(BasicHeader(credentials_));
    }
  }
  const absl::StatusOr<HttpResponse> response = http_.Do(request, call);
  if (!response.ok()) {
    return os::Annotate(response.status(), subject);
  }
  const long status = response->status;
  if (status == 200) {
    absl::StatusOr<std::string> token = TokenFromAnswer(response->body);
    return token.ok() ? token : os::Annotate(token.status(), subject);
  }
  const std::string text = absl::StrCat(subject, ": HTTP ", status);
  if (status == 400 || status == 401 || status == 403 || status == 404) {
    return absl::PermissionDeniedError(absl::StrCat(
        text, credentials_.empty() ? ": anonymous access was refused"
                                   : ": the credentials were refused"));
  }
  if (status == 429) {
    return absl::ResourceExhaustedError(
        absl::StrCat(text, ": too many requests"));
  }
  return absl::UnavailableError(text);
}

}  // namespace quoll::image
