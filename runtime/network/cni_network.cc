// SPDX-License-Identifier: Apache-2.0
#include "runtime/network/cni_network.h"

#include <algorithm>
#include <array>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"

#include "nlohmann/json.hpp"
#include "os/annotate.h"
#include "os/status_macros.h"
#include "runtime/network/json_text.h"

namespace quoll::runtime {
namespace {

using nlohmann::json;

// In rising order.
constexpr std::array<absl::string_view, 7> kKnownVersions = {
    "0.1.0", "0.2.0", "0.3.0", "0.3.1", "0.4.0", "1.0.0", "1.1.0"};

// "cniVersions" (CNI 1.1) lists what the plugins can do; the newest one that we
// can do too is taken. Without it "cniVersion" counts, and without both the
// spec's first version.
absl::StatusOr<std::string> ChooseVersion(const json& config) {
  for (const char* key : {"cniVersion", "cniVersions"}) {
    const auto it = config.find(key);
    if (it != config.end() && !it->is_string() && !it->is_array()) {
      return absl::InvalidArgumentError(
          absl::StrCat("\"", key, "\" has the wrong type"));
    }
  }
  std::vector<std::string> offered;
  if (const auto it = config.find("cniVersions");
      it != config.end() && it->is_array()) {
    for (const json& version : *it) {
      if (version.is_string()) {
        offered.push_back(version.get<std::string>());
      }
    }
  }
  const std::string single = StringMember(config, "cniVersion");
  if (!single.empty()) {
    offered.push_back(single);
  }
  if (offered.empty()) {
    return std::string(kKnownVersions.front());
  }
  for (auto known = kKnownVersions.rbegin(); known != kKnownVersions.rend();
       ++known) {
    if (std::find(offered.begin(), offered.end(), *known) != offered.end()) {
      return std::string(*known);
    }
  }
  return absl::InvalidArgumentError(absl::StrCat(
      "cniVersion \"", OneLine(absl::StrJoin(offered, ", "), 64),
      "\" is unknown; known are ", absl::StrJoin(kKnownVersions, ", ")));
}

// A path separator would let a configuration run any program of the host.
absl::Status CheckType(const json& plugin) {
  const std::string type = StringMember(plugin, "type");
  if (type.empty()) {
    return absl::InvalidArgumentError("it has no \"type\"");
  }
  if (absl::StrContains(type, '/') || absl::StrContains(type, '\0') ||
      type == "." || type == "..") {
    return absl::InvalidArgumentError(absl::StrCat(
        "type \"", OneLine(type, 64), "\" must be the bare name of a plugin"));
  }
  return absl::OkStatus();
}

absl::StatusOr<CniNetwork::Plugin> ParsePlugin(json config) {
  if (!config.is_object()) {
    return absl::InvalidArgumentError("it is not an object");
  }
  QUOLL_RETURN_IF_ERROR(CheckType(config));
  CniNetwork::Plugin plugin;
  plugin.type = StringMember(config, "type");
  if (const auto it = config.find("capabilities"); it != config.end()) {
    if (!it->is_object() && !it->is_null()) {
      return absl::InvalidArgumentError("its \"capabilities\" are no object");
    }
    for (const auto& [name, wanted] : it->items()) {
      if (!wanted.is_boolean()) {
        return absl::InvalidArgumentError(absl::StrCat(
            "its capability \"", OneLine(name, 64), "\" is no boolean"));
      }
      if (wanted.get<bool>()) {
        plugin.capabilities.insert(name);
      }
    }
    config.erase("capabilities");
  }
  plugin.config_json = PrintJson(config);
  return plugin;
}

// libcni reads "true" as well as true.
absl::StatusOr<bool> ParseDisableCheck(const json& list) {
  const auto it = list.find("disableCheck");
  if (it == list.end()) {
    return false;
  }
  if (it->is_boolean()) {
    return it->get<bool>();
  }
  bool value = false;
  if (it->is_string() && absl::SimpleAtob(it->get<std::string>(), &value)) {
    return value;
  }
  return absl::InvalidArgumentError("\"disableCheck\" is no boolean");
}

absl::StatusOr<CniNetwork> FromList(json list) {
  CniNetwork network;
  network.name = StringMember(list, "name");
  if (!IsCniIdentifier(network.name)) {
    return absl::InvalidArgumentError(absl::StrCat(
        "its \"name\" must be a letter or digit, then letters, digits, '_', "
        "'.' or '-', not \"",
        OneLine(network.name, 64), "\""));
  }
  QUOLL_ASSIGN_OR_RETURN(network.cni_version, ChooseVersion(list));
  QUOLL_ASSIGN_OR_RETURN(network.disable_check, ParseDisableCheck(list));
  const auto plugins = list.find("plugins");
  if (plugins == list.end() || !plugins->is_array() || plugins->empty()) {
    return absl::InvalidArgumentError(
        "its \"plugins\" must be a list with at least one plugin");
  }
  for (size_t i = 0; i < plugins->size(); ++i) {
    absl::StatusOr<CniNetwork::Plugin> plugin = ParsePlugin((*plugins)[i]);
    if (!plugin.ok()) {
      return os::Annotate(plugin.status(), absl::StrCat("plugin ", i + 1));
    }
    network.plugins.push_back(*std::move(plugin));
  }
  // DEL must speak the version that ADD spoke, also after an upgrade of ours
  // that knows more of them.
  list["cniVersion"] = network.cni_version;
  list.erase("cniVersions");
  network.conflist_json = PrintJson(list);
  return network;
}

}  // namespace

absl::StatusOr<CniNetwork> ParseCniConfList(absl::string_view text) {
  QUOLL_ASSIGN_OR_RETURN(json list, ParseJsonObject(text));
  return FromList(std::move(list));
}

absl::StatusOr<CniNetwork> ParseCniConf(absl::string_view text) {
  QUOLL_ASSIGN_OR_RETURN(json config, ParseJsonObject(text));
  if (!config.contains("type") && config.contains("plugins")) {
    return absl::InvalidArgumentError(
        "it is a list of plugins, so its file name must end in .conflist");
  }
  json list = {{"name", StringMember(config, "name")}};
  if (config.contains("cniVersion")) {
    list["cniVersion"] = config["cniVersion"];
  }
  list["plugins"] = json::array({std::move(config)});
  return FromList(std::move(list));
}

bool CniVersionAtLeast(absl::string_view version, int major, int minor) {
  const std::vector<absl::string_view> parts = absl::StrSplit(version, '.');
  int have_major = 0;
  int have_minor = 0;
  if (parts.size() < 2 || !absl::SimpleAtoi(parts[0], &have_major) ||
      !absl::SimpleAtoi(parts[1], &have_minor)) {
    return false;
  }
  return std::pair(have_major, have_minor) >= std::pair(major, minor);
}

bool IsCniIdentifier(absl::string_view text) {
  return !text.empty() && absl::ascii_isalnum(text.front()) &&
         std::all_of(text.begin(), text.end(), [](unsigned char c) {
           return absl::ascii_isalnum(c) || c == '_' || c == '.' || c == '-';
         });
}

}  // namespace quoll::runtime
