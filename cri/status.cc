// SPDX-License-Identifier: Apache-2.0
#include "absl/status/status.h"

#include <string>

#include "absl/strings/string_view.h"

#include "cri/rpcs.h"
#include "nlohmann/json.hpp"

namespace quoll::cri {
namespace {

void AddCondition(absl::string_view type, const absl::Status& condition,
                  absl::string_view reason, criv1::StatusResponse* response) {
  criv1::RuntimeCondition* out = response->mutable_status()->add_conditions();
  out->set_type(std::string(type));
  out->set_status(condition.ok());
  if (!condition.ok()) {
    out->set_reason(std::string(reason));
    out->set_message(std::string(condition.message()));
  }
}

// Every value of the map is a JSON text: crictl prints it as such.
void AddInfo(const Backends& backends, criv1::StatusResponse* response) {
  const DaemonFacts& facts = backends.facts;
  auto& info = *response->mutable_info();
  info["config"] = facts.config_json;
  const nlohmann::json daemon = {{"version", facts.version},
                                 {"defaultHandler", facts.default_handler},
                                 {"handlers", facts.handlers},
                                 {"podCIDR", backends.settings.pod_cidr()}};
  info["daemon"] =
      daemon.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

}  // namespace

absl::Status Status(const Backends& backends, const os::Call& /*call*/,
                    const criv1::StatusRequest& request,
                    criv1::StatusResponse* response) {
  // Answering at all means that recovery is done: the runtime is ready.
  AddCondition("RuntimeReady", absl::OkStatus(), "", response);
  AddCondition("NetworkReady", backends.network.Ready(),
               "NetworkPluginNotReady", response);
  const DaemonFacts& facts = backends.facts;
  // The kubelet reads the entry without a name as the default handler.
  // None has the features that a handler can have, recursive read-only mounts
  // and user namespaces, so the kubelet does not ask for them.
  response->add_runtime_handlers();
  for (const auto& [name, program] : facts.handlers) {
    response->add_runtime_handlers()->set_name(name);
  }
  criv1::RuntimeFeatures* features = response->mutable_features();
  features->set_supplemental_groups_policy(true);
  features->set_mount_options(true);
  if (request.verbose()) {
    AddInfo(backends, response);
  }
  return absl::OkStatus();
}

}  // namespace quoll::cri
