// SPDX-License-Identifier: Apache-2.0
#include "image/reference.h"

#include <algorithm>

#include "absl/status/status.h"
#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"

namespace quoll::image {
namespace {

constexpr absl::string_view kDefaultRegistry = "docker.io";
constexpr absl::string_view kOfficialPrefix = "library/";
constexpr absl::string_view kDefaultTag = "latest";
// distribution/reference: RepositoryNameTotalLengthMax.
constexpr size_t kMaxRepository = 255;
constexpr size_t kMaxRegistry = 255 + 6;  // a DNS name, ':' and a port
constexpr size_t kMaxTag = 128;
// Nothing longer can be valid; also bounds what an error message quotes.
constexpr size_t kMaxReference = kMaxRegistry + kMaxRepository + kMaxTag + 80;
constexpr size_t kSha256Hex = 64;

bool IsLowerHex(absl::string_view text) {
  return std::all_of(text.begin(), text.end(), [](char c) {
    return absl::ascii_isdigit(c) || (c >= 'a' && c <= 'f');
  });
}

bool IsLowerAlnum(char c) {
  return absl::ascii_isdigit(c) || absl::ascii_islower(c);
}

absl::Status Invalid(absl::string_view text, absl::string_view why) {
  return absl::InvalidArgumentError(
      absl::StrCat("image name \"",
                   absl::CEscape(text.substr(0, kMaxReference)), "\": ", why));
}

bool IsDomainLabel(absl::string_view label) {
  if (label.empty() || label.front() == '-' || label.back() == '-') {
    return false;
  }
  return std::all_of(label.begin(), label.end(),
                     [](char c) { return absl::ascii_isalnum(c) || c == '-'; });
}

bool IsIpv6Literal(absl::string_view host) {
  if (host.size() < 4 || host.front() != '[' || host.back() != ']') {
    return false;
  }
  const absl::string_view inner = host.substr(1, host.size() - 2);
  return std::all_of(inner.begin(), inner.end(), [](char c) {
    return absl::ascii_isxdigit(c) || c == ':' || c == '.';
  });
}

std::string RegistryProblem(absl::string_view registry) {
  if (registry.size() > kMaxRegistry) {
    return "the registry host is too long";
  }
  absl::string_view host = registry;
  // The port's colon is the one behind an IPv6 literal's bracket.
  const size_t bracket = registry.rfind(']');
  const size_t colon = registry.rfind(':');
  if (colon != absl::string_view::npos &&
      (bracket == absl::string_view::npos || colon > bracket)) {
    uint32_t port = 0;
    const absl::string_view digits = registry.substr(colon + 1);
    const bool all_digits =
        !digits.empty() &&
        std::all_of(digits.begin(), digits.end(),
                    [](char c) { return absl::ascii_isdigit(c); });
    if (!all_digits || !absl::SimpleAtoi(digits, &port) || port == 0 ||
        port > 65535) {
      return absl::StrCat("the registry's port \"", absl::CEscape(digits),
                          "\" is not a number from 1 to 65535");
    }
    host = registry.substr(0, colon);
  }
  if (!host.empty() && host.front() == '[') {
    return IsIpv6Literal(host) ? "" : "the registry's IPv6 address is broken";
  }
  for (const absl::string_view label : absl::StrSplit(host, '.')) {
    if (!IsDomainLabel(label)) {
      return absl::StrCat("\"", absl::CEscape(host), "\" is not a host name");
    }
  }
  return "";
}

// alnum (separator alnum)*, a separator being '.', '_', '__' or any number of
// '-'.
bool IsPathComponent(absl::string_view component) {
  size_t i = 0;
  const auto skip_alnum = [&] {
    const size_t start = i;
    while (i < component.size() && IsLowerAlnum(component[i])) {
      ++i;
    }
    return i > start;
  };
  if (!skip_alnum()) {
    return false;
  }
  while (i < component.size()) {
    const char separator = component[i];
    size_t run = 0;
    while (i < component.size() && component[i] == separator) {
      ++i;
      ++run;
    }
    const bool legal = (separator == '.' && run == 1) ||
                       (separator == '_' && run <= 2) || separator == '-';
    if (!legal || !skip_alnum()) {
      return false;
    }
  }
  return true;
}

std::string RepositoryProblem(absl::string_view repository) {
  if (repository.empty()) {
    return "the repository's name is missing";
  }
  if (repository.size() > kMaxRepository) {
    return absl::StrCat("the repository's name is longer than ", kMaxRepository,
                        " characters");
  }
  for (const absl::string_view component : absl::StrSplit(repository, '/')) {
    if (IsPathComponent(component)) {
      continue;
    }
    if (std::any_of(component.begin(), component.end(), absl::ascii_isupper)) {
      return "a repository's name must be in lower case";
    }
    return absl::StrCat(
        "\"", absl::CEscape(component),
        "\" is not a path component: letters and digits, separated by one "
        "'.', one or two '_', or '-'");
  }
  return "";
}

bool IsTag(absl::string_view tag) {
  if (tag.empty() || tag.size() > kMaxTag || tag[0] == '.' || tag[0] == '-') {
    return false;
  }
  return std::all_of(tag.begin(), tag.end(), [](char c) {
    return absl::ascii_isalnum(c) || c == '_' || c == '.' || c == '-';
  });
}

// Docker's rule: the first component is a host when nothing else can be meant.
bool LooksLikeRegistry(absl::string_view first) {
  return first.find_first_of(".:[") != absl::string_view::npos ||
         first == "localhost" ||
         std::any_of(first.begin(), first.end(), absl::ascii_isupper);
}

// Splits "host/path" and fills in what Docker implies.
void SplitName(absl::string_view name, Reference& reference) {
  const size_t slash = name.find('/');
  if (slash != absl::string_view::npos &&
      LooksLikeRegistry(name.substr(0, slash))) {
    reference.registry = std::string(name.substr(0, slash));
    reference.repository = std::string(name.substr(slash + 1));
  } else {
    reference.registry = std::string(kDefaultRegistry);
    reference.repository = std::string(name);
  }
  if (reference.registry == "index.docker.io") {
    reference.registry = std::string(kDefaultRegistry);
  }
  if (reference.registry == kDefaultRegistry && !reference.repository.empty() &&
      !absl::StrContains(reference.repository, '/')) {
    reference.repository = absl::StrCat(kOfficialPrefix, reference.repository);
  }
}

}  // namespace

std::string Reference::Name() const {
  return absl::StrCat(registry, "/", repository);
}

std::string Reference::Tagged() const {
  return tag.empty() ? "" : absl::StrCat(Name(), ":", tag);
}

std::string Reference::Digested() const {
  return digest.empty() ? "" : absl::StrCat(Name(), "@", digest);
}

std::string Reference::ToString() const {
  std::string text = Name();
  if (!tag.empty()) {
    absl::StrAppend(&text, ":", tag);
  }
  if (!digest.empty()) {
    absl::StrAppend(&text, "@", digest);
  }
  return text;
}

absl::StatusOr<Reference> ParseReference(absl::string_view text) {
  if (text.empty()) {
    return absl::InvalidArgumentError("image name is empty");
  }
  if (text.size() > kMaxReference) {
    return absl::InvalidArgumentError(
        absl::StrCat("image name of ", text.size(), " characters is too long"));
  }
  if (absl::StrContains(text, "://")) {
    return Invalid(text, "a name has no scheme; leave \"https://\" away");
  }
  if (text.size() == kSha256Hex && IsLowerHex(text)) {
    return Invalid(text,
                   "64 hex digits are an image id, not a name; write "
                   "\"sha256:...\" to mean the id");
  }
  Reference reference;
  absl::string_view rest = text;
  if (const size_t at = rest.find('@'); at != absl::string_view::npos) {
    const absl::string_view digest = rest.substr(at + 1);
    if (!IsDigest(digest)) {
      return Invalid(text,
                     "the digest must be \"sha256:\" and 64 lower-case hex "
                     "digits");
    }
    reference.digest = std::string(digest);
    rest = rest.substr(0, at);
  }
  // A colon before the last slash belongs to the registry's port.
  const size_t colon = rest.rfind(':');
  const size_t slash = rest.rfind('/');
  if (colon != absl::string_view::npos &&
      (slash == absl::string_view::npos || colon > slash)) {
    const absl::string_view tag = rest.substr(colon + 1);
    if (!IsTag(tag)) {
      return Invalid(text,
                     "the tag must be 1 to 128 letters, digits, '_', '.' or "
                     "'-', and begin with neither '.' nor '-'");
    }
    reference.tag = std::string(tag);
    rest = rest.substr(0, colon);
  }
  SplitName(rest, reference);
  if (const std::string why = RegistryProblem(reference.registry);
      !why.empty()) {
    return Invalid(text, why);
  }
  if (const std::string why = RepositoryProblem(reference.repository);
      !why.empty()) {
    return Invalid(text, why);
  }
  if (reference.tag.empty() && reference.digest.empty()) {
    reference.tag = std::string(kDefaultTag);
  }
  return reference;
}

bool IsDigest(absl::string_view text) {
  constexpr absl::string_view kPrefix = "sha256:";
  return absl::StartsWith(text, kPrefix) &&
         text.size() == kPrefix.size() + kSha256Hex &&
         IsLowerHex(text.substr(kPrefix.size()));
}

}  // namespace quoll::image
