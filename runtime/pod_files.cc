// SPDX-License-Identifier: Apache-2.0
#include "runtime/pod_files.h"

#include <limits.h>
#include <unistd.h>

#include <array>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"

#include "os/annotate.h"
#include "os/files.h"
#include "os/status_macros.h"

namespace quoll::runtime {
namespace {

constexpr char kHostResolvConf[] = "/etc/resolv.conf";
// What systemd-resolved itself asks; resolv.conf then names only its stub on
// the node's loopback, which a pod with a network of its own cannot reach
// (systemd-resolved(8), "/etc/resolv.conf").
constexpr char kResolvedUpstream[] = "/run/systemd/resolve/resolv.conf";

bool OnlyLoopbackServers(absl::string_view resolv_conf) {
  bool any = false;
  for (const absl::string_view line : absl::StrSplit(resolv_conf, '\n')) {
    const std::vector<absl::string_view> words =
        absl::StrSplit(line, absl::ByAnyChar(" \t"), absl::SkipEmpty());
    if (words.size() < 2 || words[0] != "nameserver") {
      continue;
    }
    if (!absl::StartsWith(words[1], "127.") && words[1] != "::1") {
      return false;
    }
    any = true;
  }
  return any;
}

absl::StatusOr<std::string> HostResolvConf(bool host_network) {
  absl::StatusOr<std::string> text = os::ReadFile(kHostResolvConf);
  if (absl::IsNotFound(text.status())) {
    return std::string();  // resolv.conf(5): then it is the local machine's
  }
  if (text.ok() && !host_network && OnlyLoopbackServers(*text)) {
    if (absl::StatusOr<std::string> upstream = os::ReadFile(kResolvedUpstream);
        upstream.ok()) {
      return upstream;
    }
  }
  return text;
}

}  // namespace

std::string ResolvConfText(const state::v1::Dns& dns) {
  std::string text;
  if (!dns.searches().empty()) {
    absl::StrAppend(&text, "search ", absl::StrJoin(dns.searches(), " "), "\n");
  }
  for (const std::string& server : dns.servers()) {
    absl::StrAppend(&text, "nameserver ", server, "\n");
  }
  if (!dns.options().empty()) {
    absl::StrAppend(&text, "options ", absl::StrJoin(dns.options(), " "), "\n");
  }
  return text;
}

std::string EffectiveHostname(const SandboxSpec& spec) {
  if (!spec.hostname().empty() &&
      spec.namespaces().network() != state::v1::NAMESPACE_NODE) {
    return spec.hostname();
  }
  std::array<char, HOST_NAME_MAX + 1> name{};
  // Cannot fail with this size (gethostname(2)).
  (void)gethostname(name.data(), name.size());
  return name.data();
}

absl::Status WritePodFiles(const Paths& paths, const SandboxRecord& sandbox) {
  const SandboxSpec& spec = sandbox.spec();
  const std::string& id = sandbox.id();
  QUOLL_RETURN_IF_ERROR(os::MakeDirectories(paths.SandboxRun(id), 0711));
  std::string resolv_conf;
  if (spec.has_dns()) {
    resolv_conf = ResolvConfText(spec.dns());
  } else {
    absl::StatusOr<std::string> host = HostResolvConf(
        spec.namespaces().network() == state::v1::NAMESPACE_NODE);
    QUOLL_RETURN_IF_ERROR(
        os::Annotate(host.status(), "copy the node's resolv.conf"));
    resolv_conf = *std::move(host);
  }
  QUOLL_RETURN_IF_ERROR(
      os::ReplaceFile(paths.ResolvConf(id), resolv_conf, 0644));
  return os::ReplaceFile(paths.HostnameFile(id),
                         absl::StrCat(EffectiveHostname(spec), "\n"), 0644);
}

}  // namespace quoll::runtime
