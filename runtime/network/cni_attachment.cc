// SPDX-License-Identifier: Apache-2.0
#include "runtime/network/cni_attachment.h"

#include <arpa/inet.h>

#include <algorithm>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"

#include "nlohmann/json.hpp"
#include "os/status_macros.h"
#include "runtime/network/json_text.h"
#include "spdlog/spdlog.h"

namespace quoll::runtime {
namespace {

using nlohmann::json;

constexpr uint32_t kFormat = 1;
constexpr char kInterface[] = "eth0";

// CNI_ARGS is "KEY=value;KEY=value": a value with one of its separators would
// set other keys (another pod's address, with some plugins).
absl::Status CheckArg(absl::string_view what, absl::string_view value) {
  for (const char c : value) {
    if (c == ';' || c == '=' || static_cast<unsigned char>(c) < 0x20) {
      return absl::InvalidArgumentError(
          absl::StrCat(what, " \"", OneLine(value, 64),
                       "\" must not contain ';', '=' or control characters"));
    }
  }
  return absl::OkStatus();
}

absl::StatusOr<std::string> MakeArgs(const PodNetwork::Request& request) {
  QUOLL_RETURN_IF_ERROR(CheckArg("pod namespace", request.pod_namespace));
  QUOLL_RETURN_IF_ERROR(CheckArg("pod name", request.pod_name));
  QUOLL_RETURN_IF_ERROR(CheckArg("pod uid", request.pod_uid));
  // IgnoreUnknown: plugins refuse keys that they do not know without it.
  return absl::StrCat("IgnoreUnknown=1;K8S_POD_NAMESPACE=",
                      request.pod_namespace, ";K8S_POD_NAME=", request.pod_name,
                      ";K8S_POD_INFRA_CONTAINER_ID=", request.sandbox_id,
                      ";K8S_POD_UID=", request.pod_uid);
}

absl::StatusOr<std::string> ProtocolName(
    state::v1::PortMapping::Protocol protocol) {
  switch (protocol) {
    case state::v1::PortMapping::TCP:
      return "tcp";
    case state::v1::PortMapping::UDP:
      return "udp";
    case state::v1::PortMapping::SCTP:
      return "sctp";
    default:
      return absl::InvalidArgumentError(absl::StrCat(
          "port mapping: unknown protocol ", static_cast<int>(protocol)));
  }
}

bool IsAddress(const std::string& text) {
  unsigned char binary[sizeof(in6_addr)];
  return text.find('\0') == std::string::npos &&
         (inet_pton(AF_INET, text.c_str(), binary) == 1 ||
          inet_pton(AF_INET6, text.c_str(), binary) == 1);
}

absl::StatusOr<json> MakePortMappings(const PodNetwork::Request& request) {
  json mappings = json::array();
  for (const state::v1::PortMapping& port : request.port_mappings) {
    if (port.host_port() == 0) {
      continue;  // only says what the container listens on
    }
    for (const int number : {port.host_port(), port.container_port()}) {
      if (number < 1 || number > 65535) {
        return absl::InvalidArgumentError(
            absl::StrCat("port mapping ", port.host_port(), " to ",
                         port.container_port(), ": ports are 1 to 65535"));
      }
    }
    QUOLL_ASSIGN_OR_RETURN(std::string protocol, ProtocolName(port.protocol()));
    json mapping = {{"hostPort", port.host_port()},
                    {"containerPort", port.container_port()},
                    {"protocol", std::move(protocol)}};
    if (!port.host_ip().empty()) {
      if (!IsAddress(port.host_ip())) {
        return absl::InvalidArgumentError(
            absl::StrCat("port mapping ", port.host_port(), ": host IP \"",
                         OneLine(port.host_ip(), 64), "\" is no address"));
      }
      mapping["hostIP"] = port.host_ip();
    }
    mappings.push_back(std::move(mapping));
  }
  return mappings;
}

json MakeDns(const state::v1::Dns& dns) {
  json value = json::object();
  const auto add = [&value](const char* key, const auto& list) {
    if (!list.empty()) {
      value[key] = std::vector<std::string>(list.begin(), list.end());
    }
  };
  add("servers", dns.servers());
  add("searches", dns.searches());
  add("options", dns.options());
  return value;
}

bool Declares(const CniNetwork& network, const std::string& capability) {
  return std::any_of(network.plugins.begin(), network.plugins.end(),
                     [&capability](const CniNetwork::Plugin& plugin) {
                       return plugin.capabilities.contains(capability);
                     });
}

}  // namespace

absl::StatusOr<NetworkAttachment> MakeAttachment(
    const PodNetwork::Request& request, const CniNetwork& network) {
  if (!IsCniIdentifier(request.sandbox_id)) {
    return absl::InvalidArgumentError(
        absl::StrCat("sandbox id \"", OneLine(request.sandbox_id, 64),
                     "\" is not what CNI allows as a container id"));
  }
  json runtime_config = json::object();
  QUOLL_ASSIGN_OR_RETURN(json ports, MakePortMappings(request));
  if (!ports.empty()) {
    if (!Declares(network, "portMappings")) {
      // Not an error: kube-proxy replacements map host ports by themselves.
      spdlog::warn(
          "sandbox {}: no plugin of CNI network {} has the capability "
          "portMappings; its {} host ports may not be reachable",
          request.sandbox_id, network.name, ports.size());
    }
    runtime_config["portMappings"] = std::move(ports);
  }
  if (json dns = MakeDns(request.dns); !dns.empty()) {
    runtime_config["dns"] = std::move(dns);
  }
  if (!request.cgroup_parent.empty()) {
    runtime_config["cgroupPath"] = request.cgroup_parent;
  }

  NetworkAttachment attachment;
  attachment.set_format(kFormat);
  attachment.set_sandbox_id(request.sandbox_id);
  attachment.set_netns_path(request.netns_path);
  attachment.set_conflist_json(network.conflist_json);
  attachment.set_ifname(kInterface);
  QUOLL_ASSIGN_OR_RETURN(*attachment.mutable_args(), MakeArgs(request));
  attachment.set_runtime_config_json(PrintJson(runtime_config));
  return attachment;
}

}  // namespace quoll::runtime
