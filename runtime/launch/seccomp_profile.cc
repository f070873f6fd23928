// SPDX-License-Identifier: Apache-2.0
#include "runtime/launch/seccomp_profile.h"

#include <seccomp.h>
#include <sys/stat.h>

#include <cerrno>
#include <cstdint>

#include "absl/algorithm/container.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/types/span.h"

#include "os/files.h"
#include "runtime/launch/seccomp_syscalls.h"

namespace quoll::runtime {
namespace {

using nlohmann::json;

constexpr size_t kMaxProfileBytes = 1u << 20;
// A real profile has six levels. nlohmann's dump() recurses, so that a file of
// a million brackets would end the daemon.
constexpr int kMaxProfileDepth = 32;

// CLONE_NEWCGROUP | NEWUTS | NEWIPC | NEWUSER | NEWPID | NEWNET | NEWNS.
constexpr uint64_t kCloneNamespaceFlags = 0x7E020000;
constexpr uint64_t kAddressFamilyVsock = 40;

// The native architecture and the 32-bit ones that its kernel also runs.
json Architectures() {
  switch (seccomp_arch_native()) {
    case SCMP_ARCH_X86_64:
      return {"SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32"};
    case SCMP_ARCH_AARCH64:
      return {"SCMP_ARCH_AARCH64", "SCMP_ARCH_ARM"};
    case SCMP_ARCH_S390X:
      return {"SCMP_ARCH_S390X", "SCMP_ARCH_S390"};
    case SCMP_ARCH_PPC64LE:
      return json::array({"SCMP_ARCH_PPC64LE"});
    case SCMP_ARCH_RISCV64:
      return json::array({"SCMP_ARCH_RISCV64"});
    default:
      return json::array();  // runtimes take it for the native one
  }
}

json KnownNames(absl::Span<const char* const> names) {
  json known = json::array();
  for (const char* name : names) {
    if (seccomp_syscall_resolve_name(name) != __NR_SCMP_ERROR) {
      known.push_back(name);
    }
  }
  return known;
}

class Rules {
 public:
  // Not at all when this libseccomp knows none of the names: an empty list of
  // names is an error to OCI runtimes.
  void Allow(absl::Span<const char* const> names, json args = json::array()) {
    Add(names, "SCMP_ACT_ALLOW", std::move(args));
  }
  // As a kernel without the call does it, so that libc falls back.
  void PretendMissing(absl::Span<const char* const> names) {
    if (json* rule = Add(names, "SCMP_ACT_ERRNO", json::array())) {
      (*rule)["errnoRet"] = ENOSYS;
    }
  }
  json Take() { return std::move(rules_); }

 private:
  json* Add(absl::Span<const char* const> names, const char* action,
            json args) {
    json known = KnownNames(names);
    if (known.empty()) {
      return nullptr;
    }
    json rule = {{"names", std::move(known)}, {"action", action}};
    if (!args.empty()) {
      rule["args"] = std::move(args);
    }
    rules_.push_back(std::move(rule));
    return &rules_.back();
  }

  json rules_ = json::array();
};

json Argument(int index, uint64_t value, const char* op) {
  return {{"index", index}, {"value", value}, {"op", op}};
}

void AllowByArgument(Rules& rules) {
  // Only execution domains that change how uname(2) answers; the others
  // (READ_IMPLIES_EXEC, ADDR_NO_RANDOMIZE) weaken a process's own defences.
  // 0: PER_LINUX, 8: PER_LINUX32, 0x20000: UNAME26, -1: only asks.
  for (const uint64_t persona : {uint64_t{0}, uint64_t{8}, uint64_t{0x20000},
                                 uint64_t{0x20008}, uint64_t{0xffffffff}}) {
    rules.Allow({"personality"},
                json::array({Argument(0, persona, "SCMP_CMP_EQ")}));
  }
  // vsock addresses the hypervisor, and no namespace holds it. 32-bit x86 can
  // still reach it through socketcall(2), whose arguments no filter can see.
  rules.Allow({"socket"},
              json::array({Argument(0, kAddressFamilyVsock, "SCMP_CMP_NE")}));
}

// Without CAP_SYS_ADMIN: threads and processes, but no new namespaces (a user
// namespace would bring capabilities back).
void AllowPlainClone(Rules& rules) {
  const bool flags_second = seccomp_arch_native() == SCMP_ARCH_S390X ||
                            seccomp_arch_native() == SCMP_ARCH_S390;
  json none = Argument(flags_second ? 1 : 0, kCloneNamespaceFlags,
                       "SCMP_CMP_MASKED_EQ");
  none["valueTwo"] = 0;
  rules.Allow({"clone"}, json::array({std::move(none)}));
  // Its flags are in memory, out of a filter's sight.
  rules.PretendMissing({"clone3"});
}

absl::Status Wrong(const std::string& path, absl::string_view what) {
  return absl::InvalidArgumentError(
      absl::StrCat("seccomp profile ", path, ": ", what));
}

}  // namespace

json DefaultSeccompProfile(const std::vector<std::string>& capabilities) {
  Rules rules;
  rules.Allow(kAlwaysAllowedSyscalls);
  AllowByArgument(rules);
  for (const CapabilitySyscalls& group : kCapabilitySyscalls) {
    if (absl::c_linear_search(capabilities, group.capability)) {
      rules.Allow(group.syscalls);
    }
  }
  if (!absl::c_linear_search(capabilities, "CAP_SYS_ADMIN")) {
    AllowPlainClone(rules);
  }
  json profile = {{"defaultAction", "SCMP_ACT_ERRNO"},
                  {"defaultErrnoRet", EPERM},
                  {"syscalls", rules.Take()}};
  if (json architectures = Architectures(); !architectures.empty()) {
    profile["architectures"] = std::move(architectures);
  }
  return profile;
}

absl::StatusOr<json> LoadSeccompProfile(const std::string& path) {
  if (!absl::StartsWith(path, "/") || path.find('\0') != std::string::npos) {
    return Wrong(path, "localhost_ref must be an absolute path");
  }
  struct stat info;
  if (stat(path.c_str(), &info) != 0) {
    const int error = errno;
    return Wrong(path, absl::ErrnoToStatus(error, "stat").message());
  }
  if (!S_ISREG(info.st_mode)) {
    return Wrong(path, "not a regular file");
  }
  const absl::StatusOr<std::string> text = os::ReadFile(path, kMaxProfileBytes);
  if (!text.ok()) {
    return Wrong(path, text.status().message());
  }
  bool too_deep = false;
  const auto bound = [&](int depth, json::parse_event_t, json&) {
    too_deep |= depth > kMaxProfileDepth;
    return !too_deep;
  };
  json profile = json::parse(*text, bound, /*allow_exceptions=*/false);
  if (too_deep) {
    return Wrong(path, "nested too deeply");
  }
  if (!profile.is_object()) {
    return Wrong(path, "not a JSON object");
  }
  const auto action = profile.find("defaultAction");
  if (action == profile.end() || !action->is_string() ||
      !absl::StartsWith(action->get_ref<const std::string&>(), "SCMP_ACT_")) {
    return Wrong(path, "\"defaultAction\" must be one of SCMP_ACT_*");
  }
  if (const auto rules = profile.find("syscalls");
      rules != profile.end() && !rules->is_array() && !rules->is_null()) {
    return Wrong(path, "\"syscalls\" must be a list");
  }
  return profile;
}

}  // namespace quoll::runtime
