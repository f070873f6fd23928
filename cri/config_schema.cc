// SPDX-License-Identifier: Apache-2.0
#include "cri/config_schema.h"

#include <algorithm>
#include <array>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"

#include "image/reference.h"

namespace quoll::cri {
namespace {

std::string Allowed(const Config&) {
  return "";
}

std::string PathProblem(absl::string_view path) {
  const std::vector<absl::string_view> parts = absl::StrSplit(path, '/');
  const bool dots = std::find(parts.begin(), parts.end(), "..") != parts.end();
  if (absl::StartsWith(path, "/") && !dots && path != "/") {
    return "";
  }
  return absl::StrCat("\"", path, "\" must be an absolute path without \"..\"");
}

std::string OptionalPathProblem(absl::string_view path) {
  return path.empty() ? "" : PathProblem(path);
}

std::string PathsProblem(const std::vector<std::string>& paths) {
  for (const std::string& path : paths) {
    if (std::string problem = PathProblem(path); !problem.empty()) {
      return problem;
    }
  }
  return "";
}

std::string OneOf(absl::string_view value,
                  std::initializer_list<absl::string_view> allowed) {
  if (std::find(allowed.begin(), allowed.end(), value) != allowed.end()) {
    return "";
  }
  return absl::StrCat("\"", value, "\" is none of ",
                      absl::StrJoin(allowed, ", "));
}

std::string Between(absl::Duration value, absl::Duration least,
                    absl::Duration most) {
  if (value >= least && value <= most) {
    return "";
  }
  return absl::StrCat(absl::FormatDuration(value), " must be within ",
                      absl::FormatDuration(least), " and ",
                      absl::FormatDuration(most));
}

std::string DriverProblem(const Config& config) {
  if (config.cgroup.driver == "systemd") {
    return "the systemd driver is not built yet: use \"cgroupfs\", and "
           "cgroupDriver: cgroupfs in the kubelet's configuration";
  }
  return OneOf(config.cgroup.driver, {"cgroupfs"});
}

std::string SysctlProblem(const Config& config) {
  for (const auto& [name, value] : config.runtime.default_sysctls) {
    if (name.empty() || absl::StrContains(name, '/')) {
      return absl::StrCat("\"", name,
                          "\" must be written with dots: net.ipv4.ip_forward");
    }
  }
  return "";
}

std::string PlainHttpProblem(const Config& config) {
  for (const std::string& host : config.image.plain_http) {
    if (host.empty() || absl::StrContains(host, '/')) {
      return absl::StrCat("\"", host,
                          "\" must be a host, or host:port, without a scheme");
    }
  }
  return "";
}

std::string ParallelLayersProblem(const Config& config) {
  if (config.image.parallel_layers >= 1 && config.image.parallel_layers <= 64) {
    return "";
  }
  return absl::StrCat(config.image.parallel_layers, " must be within 1 and 64");
}

std::string PinnedProblem(const Config& config) {
  for (const std::string& name : config.image.pinned) {
    const auto reference = image::ParseReference(name);
    if (!reference.ok()) {
      return std::string(reference.status().message());
    }
    if (reference->tag.empty()) {
      return absl::StrCat("\"", name, "\" must have a tag, not a digest only");
    }
  }
  return "";
}

std::string ShmProblem(const Config& config) {
  // One page is the least that tmpfs takes.
  const int64_t bytes = config.runtime.shm_size.bytes;
  if (bytes >= 4096 && bytes <= (int64_t{1} << 40)) {
    return "";
  }
  return absl::StrCat(bytes, " bytes must be within 4KiB and 1024GiB");
}

// A capture-less lambda as the pointer of the right type.
#define QUOLL_MEMBER(Type, path) \
  ConfigMember<Type>([](Config& config) -> Type& { return config.path; })
#define QUOLL_PROBLEM(expression) \
  [](const Config& config) -> std::string { return expression; }

using Strings = std::vector<std::string>;
using StringMap = std::map<std::string, std::string>;

// Never destroyed: keys are read while the process ends, too.
// NOLINTNEXTLINE(readability-function-size): a table, not code
const std::vector<ConfigKey>& Keys() {
  static const auto& keys = *new std::vector<ConfigKey>{
      {"", "state_dir",
       "What survives a reboot: records, image layers, writable layers. A "
       "local\n"
       "disk whose file system overlayfs can stand on (ext4, XFS with "
       "ftype=1).",
       QUOLL_MEMBER(std::string, state_dir),
       QUOLL_PROBLEM(PathProblem(config.state_dir))},
      {"", "run_dir",
       "What does not: sockets, pinned namespaces, bundles. Should be on "
       "tmpfs,\n"
       "because a reboot is recognised by its being empty.",
       QUOLL_MEMBER(std::string, run_dir),
       QUOLL_PROBLEM(PathProblem(config.run_dir))},
      {"", "socket",
       "Unix socket of CRI and of the operator API. Empty: quoll.sock in "
       "run_dir.",
       QUOLL_MEMBER(std::string, socket),
       QUOLL_PROBLEM(OptionalPathProblem(config.socket))},
      {"", "libexec_dir",
       "Where quoll-monitor, quoll-helper, quoll-unpack and quoll-pause are.\n"
       "Empty: ../libexec/quoll beside quolld's directory, else that "
       "directory.",
       QUOLL_MEMBER(std::string, libexec_dir),
       QUOLL_PROBLEM(OptionalPathProblem(config.libexec_dir))},
      {"log", "level", "trace, debug, info, warn or error.",
       QUOLL_MEMBER(std::string, log.level),
       QUOLL_PROBLEM(OneOf(config.log.level,
                           {"trace", "debug", "info", "warn", "error"}))},
      {"log", "format", "text, or json: one object per line.",
       QUOLL_MEMBER(std::string, log.format),
       QUOLL_PROBLEM(OneOf(config.log.format, {"text", "json"}))},
      {"cgroup", "driver",
       "Who makes cgroups. The kubelet asks for this and follows it.",
       QUOLL_MEMBER(std::string, cgroup.driver), &DriverProblem},
      {"runtime", "default_handler",
       "The handler of pods without a RuntimeClass; one of [runtimes].",
       QUOLL_MEMBER(std::string, runtime.default_handler), &Allowed},
      {"runtime", "missing_host_path",
       "A host path of a mount that does not exist: \"create\" makes a "
       "directory\n"
       "(what many manifests lean on), \"error\" refuses the container.",
       QUOLL_MEMBER(std::string, runtime.missing_host_path),
       QUOLL_PROBLEM(
           OneOf(config.runtime.missing_host_path, {"create", "error"}))},
      {"runtime", "never_create_host_paths",
       "Paths that are never created, nor anything below them: mount points "
       "of\n"
       "network storage, say, that are not mounted yet.",
       QUOLL_MEMBER(Strings, runtime.never_create_host_paths),
       QUOLL_PROBLEM(PathsProblem(config.runtime.never_create_host_paths))},
      {"runtime", "shm_size", "Size of a pod's /dev/shm.",
       QUOLL_MEMBER(ByteSize, runtime.shm_size), &ShmProblem},
      {"runtime", "host_path_timeout",
       "How long one look at a host path may take: it may be on a dead server.",
       QUOLL_MEMBER(absl::Duration, runtime.host_path_timeout),
       QUOLL_PROBLEM(Between(config.runtime.host_path_timeout,
                             absl::Milliseconds(100), absl::Minutes(10)))},
      {"runtime", "oci_timeout",
       "How long one command of an OCI runtime (create, start, delete) may "
       "take.",
       QUOLL_MEMBER(absl::Duration, runtime.oci_timeout),
       QUOLL_PROBLEM(Between(config.runtime.oci_timeout, absl::Seconds(1),
                             absl::Hours(1)))},
      {"runtime", "default_sysctls",
       "Set in every pod that does not set them itself, for example\n"
       "{ \"net.ipv4.ip_unprivileged_port_start\" = \"0\" }. Only sysctls of "
       "the\n"
       "network, IPC and UTS namespaces can be set.",
       QUOLL_MEMBER(StringMap, runtime.default_sysctls), &SysctlProblem},
      {"network", "conf_dir",
       "CNI configuration: the first *.conflist, *.conf or *.json by name "
       "counts.\n"
       "Watched: a change takes effect for the next pod.",
       QUOLL_MEMBER(std::string, network.conf_dir),
       QUOLL_PROBLEM(PathProblem(config.network.conf_dir))},
      {"network", "bin_dirs",
       "Where CNI plugins are looked for, in this order.",
       QUOLL_MEMBER(Strings, network.bin_dirs),
       QUOLL_PROBLEM(PathsProblem(config.network.bin_dirs))},
      {"network", "timeout",
       "How long attaching a pod, or detaching it, may take: all plugins "
       "together.",
       QUOLL_MEMBER(absl::Duration, network.timeout),
       QUOLL_PROBLEM(
           Between(config.network.timeout, absl::Seconds(1), absl::Hours(1)))},
      {"image", "plain_http",
       "Registries without TLS: \"host\" or \"host:port\". Loopback addresses "
       "need\n"
       "not be listed.",
       QUOLL_MEMBER(Strings, image.plain_http), &PlainHttpProblem},
      {"image", "parallel_layers",
       "How many layers of one image are downloaded and unpacked at once.",
       QUOLL_MEMBER(int64_t, image.parallel_layers), &ParallelLayersProblem},
      {"image", "ca_file",
       "Certificates (PEM) that registries are checked against. Empty: the "
       "system's.",
       QUOLL_MEMBER(std::string, image.ca_file),
       QUOLL_PROBLEM(OptionalPathProblem(config.image.ca_file))},
      {"image", "pinned",
       "Images (by tag) that the kubelet's clean-up never removes.",
       QUOLL_MEMBER(Strings, image.pinned), &PinnedProblem},
  };
  return keys;
}

#undef QUOLL_MEMBER
#undef QUOLL_PROBLEM

}  // namespace

absl::Span<const ConfigKey> ConfigKeys() {
  return Keys();
}

absl::Span<const ConfigSection> ConfigSections() {
  static constexpr std::array<ConfigSection, 5> kSections = {{
      {"log", "Logging goes to stderr; the service manager keeps it."},
      {"cgroup", ""},
      {"runtime", "Sandboxes and containers."},
      {"network", "Pod networks, by CNI plugins."},
      {"image", "The image store and registries."},
  }};
  return kSections;
}

std::string HandlerNameProblem(absl::string_view name) {
  // A RuntimeClass's handler is a DNS label, and the name becomes a directory.
  const bool fits =
      !name.empty() && name.size() <= 63 && absl::ascii_isalnum(name.front()) &&
      absl::ascii_isalnum(name.back()) &&
      std::all_of(name.begin(), name.end(), [](char c) {
        return absl::ascii_islower(c) || absl::ascii_isdigit(c) || c == '-';
      });
  return fits ? ""
              : absl::StrCat("\"", name,
                             "\" is no name of a handler: up to 63 lower-case "
                             "letters, digits and '-'");
}

std::string ProgramProblem(absl::string_view program) {
  if (!program.empty() && !absl::StrContains(program, '/')) {
    return "";
  }
  return program.empty() ? "is empty: name a program" : PathProblem(program);
}

std::string ByteSizeText(ByteSize size) {
  constexpr std::array<std::pair<int64_t, absl::string_view>, 3> kUnits = {
      {{int64_t{1} << 30, "GiB"}, {1 << 20, "MiB"}, {1 << 10, "KiB"}}};
  for (const auto& [factor, unit] : kUnits) {
    if (size.bytes != 0 && size.bytes % factor == 0) {
      return absl::StrCat(size.bytes / factor, unit);
    }
  }
  return absl::StrCat(size.bytes);
}

}  // namespace quoll::cri
