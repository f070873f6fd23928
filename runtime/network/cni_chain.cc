// SPDX-License-Identifier: Apache-2.0
#include "runtime/network/cni_chain.h"

#include <linux/magic.h>
#include <sys/vfs.h>

#include <utility>

#include "absl/strings/str_cat.h"

#include "nlohmann/json.hpp"
#include "os/annotate.h"
#include "os/status_macros.h"
#include "runtime/network/json_text.h"

namespace quoll::runtime {
namespace {

using nlohmann::json;

// What a record says, parsed. Records are ours, but a disk may lie: every
// mistake is DataLoss.
struct Parsed {
  CniNetwork network;
  json runtime_config;
  json previous;  // null without a result
};

absl::Status AsDataLoss(const absl::Status& status, absl::string_view what) {
  return absl::DataLossError(
      absl::StrCat("the recorded ", what, ": ", status.message()));
}

absl::StatusOr<Parsed> Parse(const NetworkAttachment& attachment) {
  Parsed parsed;
  absl::StatusOr<CniNetwork> network =
      ParseCniConfList(attachment.conflist_json());
  if (!network.ok()) {
    return AsDataLoss(network.status(), "CNI configuration");
  }
  parsed.network = *std::move(network);
  absl::StatusOr<json> runtime_config =
      ParseJsonObject(attachment.runtime_config_json());
  if (!runtime_config.ok()) {
    return AsDataLoss(runtime_config.status(), "CNI runtimeConfig");
  }
  parsed.runtime_config = *std::move(runtime_config);
  if (!attachment.result_json().empty()) {
    absl::StatusOr<json> previous = ParseJsonObject(attachment.result_json());
    if (!previous.ok()) {
      return AsDataLoss(previous.status(), "CNI result");
    }
    parsed.previous = *std::move(previous);
  }
  return parsed;
}

// The configuration of one execution (CNI spec, section 3, "Deriving execution
// configuration from plugin configuration").
absl::StatusOr<std::string> ExecutionConfig(const Parsed& parsed,
                                            const CniNetwork::Plugin& plugin,
                                            const json& previous) {
  QUOLL_ASSIGN_OR_RETURN(json config, ParseJsonObject(plugin.config_json));
  config["cniVersion"] = parsed.network.cni_version;
  config["name"] = parsed.network.name;
  json wanted = json::object();
  for (const auto& [capability, value] : parsed.runtime_config.items()) {
    if (plugin.capabilities.contains(capability)) {
      wanted[capability] = value;
    }
  }
  if (!wanted.empty()) {
    config["runtimeConfig"] = std::move(wanted);
  }
  if (!previous.is_null()) {
    config["prevResult"] = previous;
  }
  return PrintJson(config);
}

CniPluginRunner::Invocation InvocationFor(const NetworkAttachment& attachment,
                                          absl::string_view command) {
  CniPluginRunner::Invocation invocation;
  invocation.command = std::string(command);
  invocation.container_id = attachment.sandbox_id();
  invocation.netns = attachment.netns_path();
  invocation.ifname = attachment.ifname();
  invocation.args = attachment.args();
  return invocation;
}

// False too for the plain file that a pin is after its unmount or a reboot:
// plugins would fail on it for ever, while "no namespace" is defined for DEL.
bool IsNamespace(const std::string& path) {
  struct statfs info {};
  return statfs(path.c_str(), &info) == 0 &&
         static_cast<uint64_t>(info.f_type) == NSFS_MAGIC;
}

}  // namespace

absl::StatusOr<std::string> CniChain::Add(const NetworkAttachment& attachment,
                                          absl::Time deadline) const {
  QUOLL_ASSIGN_OR_RETURN(Parsed parsed, Parse(attachment));
  CniPluginRunner::Invocation invocation = InvocationFor(attachment, "ADD");
  json previous;  // null for the first plugin
  for (const CniNetwork::Plugin& plugin : parsed.network.plugins) {
    QUOLL_ASSIGN_OR_RETURN(invocation.config,
                           ExecutionConfig(parsed, plugin, previous));
    QUOLL_ASSIGN_OR_RETURN(const std::string out,
                           plugins_.Run(plugin.type, invocation, deadline));
    absl::StatusOr<json> result = ParseJsonObject(out);
    if (!result.ok()) {
      return absl::FailedPreconditionError(absl::StrCat(
          "CNI ADD by plugin ", plugin.type,
          ": its result cannot be used: ", result.status().message()));
    }
    previous = *std::move(result);
  }
  return PrintJson(previous);
}

absl::Status CniChain::Delete(const NetworkAttachment& attachment,
                              absl::Time deadline) const {
  QUOLL_ASSIGN_OR_RETURN(Parsed parsed, Parse(attachment));
  CniPluginRunner::Invocation invocation = InvocationFor(attachment, "DEL");
  if (!IsNamespace(invocation.netns)) {
    invocation.netns.clear();
  }
  // DEL knows prevResult since 0.4.0; older plugins would not expect it.
  if (!CniVersionAtLeast(parsed.network.cni_version, 0, 4)) {
    parsed.previous = nullptr;
  }
  for (auto plugin = parsed.network.plugins.rbegin();
       plugin != parsed.network.plugins.rend(); ++plugin) {
    QUOLL_ASSIGN_OR_RETURN(invocation.config,
                           ExecutionConfig(parsed, *plugin, parsed.previous));
    QUOLL_RETURN_IF_ERROR(
        plugins_.Run(plugin->type, invocation, deadline).status());
  }
  return absl::OkStatus();
}

absl::Status CniChain::Check(const NetworkAttachment& attachment,
                             absl::Time deadline) const {
  QUOLL_ASSIGN_OR_RETURN(const Parsed parsed, Parse(attachment));
  if (parsed.network.disable_check ||
      !CniVersionAtLeast(parsed.network.cni_version, 0, 4)) {
    return absl::OkStatus();
  }
  CniPluginRunner::Invocation invocation = InvocationFor(attachment, "CHECK");
  for (const CniNetwork::Plugin& plugin : parsed.network.plugins) {
    QUOLL_ASSIGN_OR_RETURN(invocation.config,
                           ExecutionConfig(parsed, plugin, parsed.previous));
    QUOLL_RETURN_IF_ERROR(
        plugins_.Run(plugin.type, invocation, deadline).status());
  }
  return absl::OkStatus();
}

}  // namespace quoll::runtime
