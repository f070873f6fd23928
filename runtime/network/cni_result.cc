// SPDX-License-Identifier: Apache-2.0
#include "runtime/network/cni_result.h"

#include <arpa/inet.h>

#include <algorithm>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"

#include "nlohmann/json.hpp"
#include "os/status_macros.h"
#include "runtime/network/json_text.h"

namespace quoll::runtime {
namespace {

using nlohmann::json;

// Error codes of the spec, section 5.
constexpr int kTryAgainLater = 11;
constexpr int kNotAvailable = 50;
constexpr int kLimitedConnectivity = 51;

// "10.0.0.2/24" -> "10.0.0.2". The text itself goes on to the kubelet and into
// the Pod's status, so it must be an address and nothing else.
absl::StatusOr<std::string> ParseAddress(const std::string& cidr) {
  const size_t slash = cidr.find('/');
  const std::string address = cidr.substr(0, slash);
  unsigned char binary[sizeof(in6_addr)];
  int bits = 0;
  // A NUL inside would end the text early for inet_pton(3).
  if (address.find('\0') == std::string::npos) {
    if (inet_pton(AF_INET, address.c_str(), binary) == 1) {
      bits = 32;
    } else if (inet_pton(AF_INET6, address.c_str(), binary) == 1) {
      bits = 128;
    }
  }
  int prefix = 0;
  const bool good_prefix = slash != std::string::npos &&
                           absl::SimpleAtoi(cidr.substr(slash + 1), &prefix) &&
                           prefix >= 0 && prefix <= bits;
  if (bits == 0 || !good_prefix) {
    return absl::FailedPreconditionError(absl::StrCat(
        "\"", OneLine(cidr, 64), "\" is not an address with prefix length"));
  }
  return address;
}

enum class Place { kPodInterface, kPod, kHost };

// Where an address of "ips" belongs, by its index into "interfaces".
Place PlaceOf(const json& result, const json& ip, absl::string_view ifname) {
  const auto index = ip.find("interface");
  const auto interfaces = result.find("interfaces");
  if (index == ip.end() || !index->is_number_unsigned() ||
      interfaces == result.end() || !interfaces->is_array() ||
      index->get<size_t>() >= interfaces->size()) {
    return Place::kPod;  // the spec lets plugins leave it out
  }
  const json& interface = (*interfaces)[index->get<size_t>()];
  if (!interface.is_object()) {
    return Place::kPod;
  }
  if (StringMember(interface, "sandbox").empty()) {
    return Place::kHost;
  }
  return StringMember(interface, "name") == ifname ? Place::kPodInterface
                                                   : Place::kPod;
}

absl::StatusOr<std::vector<std::string>> FromIps(const json& result,
                                                 const json& ips,
                                                 absl::string_view ifname) {
  if (!ips.is_array()) {
    return absl::FailedPreconditionError("\"ips\" is no list");
  }
  std::vector<std::string> first;
  std::vector<std::string> others;
  for (const json& ip : ips) {
    if (!ip.is_object()) {
      return absl::FailedPreconditionError(
          "\"ips\" has a member that is no "
          "object");
    }
    QUOLL_ASSIGN_OR_RETURN(std::string address,
                           ParseAddress(StringMember(ip, "address")));
    switch (PlaceOf(result, ip, ifname)) {
      case Place::kPodInterface:
        first.push_back(std::move(address));
        break;
      case Place::kPod:
        others.push_back(std::move(address));
        break;
      case Place::kHost:
        break;
    }
  }
  first.insert(first.end(), std::make_move_iterator(others.begin()),
               std::make_move_iterator(others.end()));
  return first;
}

// CNI 0.1.0 and 0.2.0.
absl::StatusOr<std::vector<std::string>> FromIp4AndIp6(const json& result) {
  std::vector<std::string> addresses;
  for (const char* family : {"ip4", "ip6"}) {
    const auto it = result.find(family);
    if (it == result.end() || it->is_null()) {
      continue;
    }
    if (!it->is_object()) {
      return absl::FailedPreconditionError(
          absl::StrCat("\"", family, "\" is no object"));
    }
    QUOLL_ASSIGN_OR_RETURN(std::string address,
                           ParseAddress(StringMember(*it, "ip")));
    addresses.push_back(std::move(address));
  }
  return addresses;
}

}  // namespace

absl::StatusOr<std::vector<std::string>> CniResultAddresses(
    absl::string_view result_json, absl::string_view ifname) {
  absl::StatusOr<json> result = ParseJsonObject(result_json);
  if (!result.ok()) {
    return absl::FailedPreconditionError(result.status().message());
  }
  const auto ips = result->find("ips");
  absl::StatusOr<std::vector<std::string>> addresses =
      ips != result->end() && !ips->is_null() ? FromIps(*result, *ips, ifname)
                                              : FromIp4AndIp6(*result);
  if (addresses.ok() && addresses->empty()) {
    return absl::FailedPreconditionError(
        "it gives the pod no address; does the configuration have \"ipam\"?");
  }
  return addresses;
}

absl::Status CniErrorStatus(absl::string_view out, absl::string_view err,
                            absl::string_view exit) {
  const absl::StatusOr<json> error = ParseJsonObject(out);
  const auto code = error.ok() ? error->find("code") : json::const_iterator();
  if (!error.ok() || code == error->end() || !code->is_number_integer()) {
    const absl::string_view said = err.empty() ? out : err;
    return absl::FailedPreconditionError(absl::StrCat(
        exit, " without a CNI error",
        said.empty() ? ", and it printed nothing"
                     : absl::StrCat("; it printed: ", OneLine(said))));
  }
  const int64_t number = code->get<int64_t>();
  std::string text = OneLine(StringMember(*error, "msg"));
  if (const std::string details = OneLine(StringMember(*error, "details"));
      !details.empty()) {
    absl::StrAppend(&text, text.empty() ? "" : "; ", details);
  }
  text = absl::StrCat(text.empty() ? "no message" : text, " (CNI error ",
                      number, ")");
  switch (number) {
    case kTryAgainLater:
    case kNotAvailable:
    case kLimitedConnectivity:
      return absl::UnavailableError(text);
    default:
      return absl::FailedPreconditionError(text);
  }
}

}  // namespace quoll::runtime
