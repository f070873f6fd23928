// SPDX-License-Identifier: Apache-2.0
#include <unistd.h>

#include <algorithm>
#include <climits>
#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"

#include "os/status_macros.h"
#include "os/utf8.h"
#include "runtime/launch/capabilities.h"
#include "runtime/launch/oci_parts.h"

namespace quoll::runtime {
namespace {

using nlohmann::json;

constexpr char kDefaultPath[] =
    "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
constexpr int64_t kMaxOomScoreAdj = 1000;

// Environment variables in the order of their first appearance; the last value
// counts.
class Environment {
 public:
  void Set(const std::string& name, std::string value) {
    const auto [known, added] = index_.emplace(name, entries_.size());
    if (added) {
      entries_.emplace_back(name, std::move(value));
    } else {
      entries_[known->second].second = std::move(value);
    }
  }
  bool Has(const std::string& name) const { return index_.count(name) != 0; }
  json ToJson() const {
    json list = json::array();
    for (const auto& [name, value] : entries_) {
      list.push_back(absl::StrCat(name, "=", value));
    }
    return list;
  }

 private:
  std::vector<std::pair<std::string, std::string>> entries_;
  std::map<std::string, size_t> index_;
};

absl::Status SetChecked(absl::string_view origin, const std::string& name,
                        const std::string& value, Environment& env) {
  if (name.empty() || absl::StrContains(name, '=')) {
    return absl::InvalidArgumentError(
        absl::StrCat(origin, " has a variable named \"", name,
                     "\"; a name is not empty and holds no \"=\""));
  }
  QUOLL_RETURN_IF_ERROR(
      CheckText(absl::StrCat("a variable name of ", origin), name));
  QUOLL_RETURN_IF_ERROR(
      CheckText(absl::StrCat("variable ", name, " of ", origin), value));
  env.Set(name, value);
  return absl::OkStatus();
}

absl::Status SetFromImage(const ImageConfig& image, Environment& env) {
  for (const std::string& entry : image.env()) {
    const size_t equals = entry.find('=');
    if (equals == std::string::npos) {
      return absl::InvalidArgumentError(
          absl::StrCat("the image's environment entry \"", entry,
                       "\" is not NAME=value; rebuild the image"));
    }
    QUOLL_RETURN_IF_ERROR(SetChecked("the image's environment",
                                     entry.substr(0, equals),
                                     entry.substr(equals + 1), env));
  }
  return absl::OkStatus();
}

// What uname(2) will say inside. Without a name of its own the pod has the
// host's, whether its UTS namespace is a copy or the host's one.
std::string Hostname(const SandboxSpec& sandbox) {
  if (!sandbox.hostname().empty()) {
    return sandbox.hostname();
  }
  char name[HOST_NAME_MAX + 1] = {};
  return gethostname(name, sizeof(name) - 1) == 0 ? name : "localhost";
}

// HOME is not here: the OCI runtime sets it from the container's /etc/passwd
// at the moment of the start, for an exec as another user too.
absl::StatusOr<json> EnvironmentJson(const SpecInput& input) {
  const ContainerSpec& spec = input.container.spec();
  Environment env;
  QUOLL_RETURN_IF_ERROR(SetFromImage(spec.image_config(), env));
  env.Set("HOSTNAME", Hostname(input.sandbox.spec()));
  for (const state::v1::EnvVar& variable : spec.env()) {
    QUOLL_RETURN_IF_ERROR(SetChecked("the container's environment",
                                     variable.name(), variable.value(), env));
  }
  for (const LaunchPatch& patch : input.patches) {
    for (const auto& [name, value] : patch.env) {
      QUOLL_RETURN_IF_ERROR(
          SetChecked("an extension's environment", name, value, env));
    }
  }
  if (!env.Has("PATH")) {
    env.Set("PATH", kDefaultPath);
  }
  if (spec.tty() && !env.Has("TERM")) {
    env.Set("TERM", "xterm");
  }
  return env.ToJson();
}

using Strings = google::protobuf::RepeatedPtrField<std::string>;

// Kubernetes' rule: `command` replaces the image's entrypoint and with it the
// image's command; `args` replaces the image's command.
absl::StatusOr<std::vector<std::string>> Arguments(const SpecInput& input) {
  const ContainerSpec& spec = input.container.spec();
  const ImageConfig& image = spec.image_config();
  const Strings& entrypoint =
      spec.command().empty() ? image.entrypoint() : spec.command();
  const bool image_command = spec.command().empty() && spec.args().empty();
  const Strings& rest = image_command ? image.command() : spec.args();
  std::vector<std::string> args(entrypoint.begin(), entrypoint.end());
  args.insert(args.end(), rest.begin(), rest.end());

  const LaunchPatch* init = nullptr;
  for (const LaunchPatch& patch : input.patches) {
    if (!patch.init_argv) {
      continue;
    }
    if (init != nullptr) {
      return absl::InvalidArgumentError(
          "two extensions want to be the container's first process; turn one "
          "of them off");
    }
    init = &patch;
  }
  if (init != nullptr) {
    args = *init->init_argv;
  }
  if (args.empty() || args[0].empty()) {
    return absl::InvalidArgumentError(
        "no command: neither the container nor the image says what to run; "
        "set command");
  }
  for (const std::string& arg : args) {
    QUOLL_RETURN_IF_ERROR(CheckText("an argument of the command", arg));
  }
  return args;
}

absl::StatusOr<std::string> WorkingDirectory(const ContainerSpec& spec) {
  const std::string& own = spec.working_dir();
  const std::string& image = spec.image_config().working_dir();
  QUOLL_RETURN_IF_ERROR(CheckText("working_dir", own));
  QUOLL_RETURN_IF_ERROR(CheckText("the image's working directory", image));
  if (!own.empty()) {
    if (own[0] != '/') {
      return absl::InvalidArgumentError(absl::StrCat(
          "working_dir \"", own, "\" is not absolute; begin it with \"/\""));
    }
    return own;
  }
  // Builders resolve WORKDIR; some leave a relative one, which means "below
  // the root".
  return absl::StartsWith(image, "/") ? image : absl::StrCat("/", image);
}

json UserJson(const state::v1::User& user) {
  json groups = json::array();
  for (const int64_t gid : user.supplemental_groups()) {
    groups.push_back(gid);
  }
  return {{"uid", user.uid()},
          {"gid", user.gid()},
          {"additionalGids", std::move(groups)}};
}

// RuntimeDefault without a profile of ours in the kernel means none for now;
// which one it is comes with the issue that loads it.
absl::Status AddAppArmor(const SpecInput& input, json& process) {
  const state::v1::SecurityProfile& profile =
      input.container.spec().security().apparmor();
  if (profile.kind() != state::v1::SecurityProfile::LOCALHOST) {
    return absl::OkStatus();
  }
  if (!input.node.apparmor) {
    return absl::InvalidArgumentError(absl::StrCat(
        "AppArmor profile \"", profile.localhost_ref(),
        "\" cannot be used: AppArmor is not enabled on this node"));
  }
  if (profile.localhost_ref().empty()) {
    return absl::InvalidArgumentError(
        "the AppArmor profile of type Localhost has no name in localhost_ref");
  }
  process["apparmorProfile"] = profile.localhost_ref();
  return absl::OkStatus();
}

absl::Status AddSecurity(const SpecInput& input, json& process) {
  const state::v1::Security& security = input.container.spec().security();
  QUOLL_ASSIGN_OR_RETURN(CapabilitySets capabilities,
                         ChooseCapabilities(security, input.node.capabilities));
  // Inheritable holds only what ambient needs (capabilities(7)): anything more
  // would come back through file capabilities of the image, CVE-2022-24769.
  process["capabilities"] = {{"bounding", capabilities.held},
                             {"effective", capabilities.held},
                             {"permitted", capabilities.held},
                             {"inheritable", capabilities.ambient},
                             {"ambient", capabilities.ambient}};
  process["noNewPrivileges"] = security.no_new_privs();
  // Always written: without it the container would inherit the daemon's, which
  // is protected from the OOM killer.
  process["oomScoreAdj"] =
      std::clamp<int64_t>(EffectiveResources(input.container).oom_score_adj(),
                          input.node.min_oom_score_adj, kMaxOomScoreAdj);
  return AddAppArmor(input, process);
}

}  // namespace

absl::Status CheckText(absl::string_view what, const std::string& text) {
  if (text.find('\0') != std::string::npos) {
    return absl::InvalidArgumentError(
        absl::StrCat(what, " holds a NUL byte, which no program can be given"));
  }
  // proto3 checks `string` fields, but not what an image's JSON brought in nor
  // `bytes`.
  if (!os::IsUtf8(text)) {
    return absl::InvalidArgumentError(absl::StrCat(
        what,
        " is not UTF-8, and an OCI runtime takes only that; encode it "
        "(base64, say)"));
  }
  return absl::OkStatus();
}

absl::StatusOr<json> ProcessJson(const SpecInput& input) {
  json process = {{"terminal", input.container.spec().tty()},
                  {"user", UserJson(input.container.effective_user())}};
  QUOLL_ASSIGN_OR_RETURN(process["args"], Arguments(input));
  QUOLL_ASSIGN_OR_RETURN(process["env"], EnvironmentJson(input));
  QUOLL_ASSIGN_OR_RETURN(process["cwd"],
                         WorkingDirectory(input.container.spec()));
  QUOLL_RETURN_IF_ERROR(AddSecurity(input, process));
  return process;
}

}  // namespace quoll::runtime
