// SPDX-License-Identifier: Apache-2.0
#include "cri/credentials.h"

#include <string>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/string_view.h"
#include "absl/strings/strip.h"

namespace quoll::cri {
namespace {

// "https://index.docker.io/v1/" is how Docker has always written its own
// registry; three names mean the same server.
std::string ServerHost(absl::string_view address) {
  if (!absl::ConsumePrefix(&address, "https://")) {
    absl::ConsumePrefix(&address, "http://");
  }
  std::string host =
      absl::AsciiStrToLower(address.substr(0, address.find('/')));
  if (host == "index.docker.io" || host == "registry-1.docker.io") {
    return "docker.io";
  }
  return host;
}

}  // namespace

absl::StatusOr<image::Credentials> ToCredentials(
    const ::runtime::v1::AuthConfig& auth, const image::Reference& reference) {
  image::Credentials out;
  if (!auth.server_address().empty() &&
      ServerHost(auth.server_address()) != ServerHost(reference.registry)) {
    return out;
  }
  out.username = auth.username();
  out.password = auth.password();
  out.identity_token = auth.identity_token();
  out.registry_token = auth.registry_token();
  if (auth.auth().empty() || !out.username.empty()) {
    return out;
  }
  // base64("user:password"), as in .docker/config.json; Docker pads the decoded
  // text with zero bytes now and then.
  std::string decoded;
  if (!absl::Base64Unescape(auth.auth(), &decoded)) {
    return absl::InvalidArgumentError(
        "auth.auth is not base64; it must be the base64 of USER:PASSWORD");
  }
  while (!decoded.empty() && decoded.back() == '\0') {
    decoded.pop_back();
  }
  const size_t colon = decoded.find(':');
  if (colon == std::string::npos) {
    return absl::InvalidArgumentError(
        "auth.auth has no ':' in it; it must be the base64 of USER:PASSWORD");
  }
  out.username = decoded.substr(0, colon);
  out.password = decoded.substr(colon + 1);
  return out;
}

}  // namespace quoll::cri
