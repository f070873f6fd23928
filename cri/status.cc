// SPDX-License-Identifier: Apache-2.0
#include "absl/status/status.h"

#include <string>

#include "absl/strings/string_view.h"

#include "cri/record_json.h"
#include "cri/rpcs.h"
#include "nlohmann/json.hpp"
#include "os/utf8.h"

namespace quoll::cri {
namespace {

void AddCondition(absl::string_view type, const absl::Status& condition,
                  absl::string_view reason, criv1::StatusResponse* response) {
  criv1::RuntimeCondition* out = response->mutable_status()->add_conditions();
  out->set_type(std::string(type));
  out->set_status(condition.ok());
  if (!condition.ok()) {
    out->set_reason(std::string(reason));
    out->set_message(os::ToUtf8(condition.message()));
  }
}

// None of ours makes read-only mounts recursive or has user namespaces yet.
// Said explicitly, so that the kubelet never has to guess.
void AddHandler(const std::string& name, criv1::StatusResponse* response) {
  criv1::RuntimeHandler* handler = response->add_runtime_handlers();
  handler->set_name(name);
  handler->mutable_features()->set_recursive_read_only_mounts(false);
  handler->mutable_features()->set_user_namespaces(false);
}

// Every value of the map is a JSON text: crictl prints it as such.
void AddInfo(const Backends& backends, criv1::StatusResponse* response) {
  const DaemonFacts& facts = backends.facts;
  auto& info = *response->mutable_info();
  info["config"] = facts.config_json;
  info["daemon"] = DumpJson({{"version", facts.version},
                             {"defaultHandler", facts.default_handler},
                             {"handlers", facts.handlers},
                             {"podCIDR", backends.settings.pod_cidr()}});
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
  AddHandler("", response);
  for (const auto& [name, program] : facts.handlers) {
    AddHandler(name, response);
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
