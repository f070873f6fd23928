// SPDX-License-Identifier: Apache-2.0
#include "runtime/launch/capabilities.h"

#include <sys/capability.h>

#include <algorithm>
#include <set>

#include "absl/algorithm/container.h"
#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"

#include "os/status_macros.h"

namespace quoll::runtime {
namespace {

// What images expect of every runtime: enough to install packages, drop to a
// user and bind low ports; nothing that reaches the host.
constexpr absl::string_view kDefaults[] = {
    "CAP_CHOWN",   "CAP_DAC_OVERRIDE", "CAP_FSETID",     "CAP_FOWNER",
    "CAP_MKNOD",   "CAP_NET_RAW",      "CAP_SETGID",     "CAP_SETUID",
    "CAP_SETFCAP", "CAP_SETPCAP",      "CAP_SYS_CHROOT", "CAP_NET_BIND_SERVICE",
    "CAP_KILL",    "CAP_AUDIT_WRITE",
};

bool IsAll(absl::string_view name) {
  return absl::EqualsIgnoreCase(name, "ALL") ||
         absl::EqualsIgnoreCase(name, "CAP_ALL");
}

using Names = google::protobuf::RepeatedPtrField<std::string>;

struct Change {
  bool all = false;
  std::set<std::string> names;
};

absl::StatusOr<Change> ParseChange(const Names& names) {
  Change change;
  for (const std::string& name : names) {
    if (IsAll(name)) {
      change.all = true;
      continue;
    }
    QUOLL_ASSIGN_OR_RETURN(std::string canonical, CanonicalCapability(name));
    change.names.insert(std::move(canonical));
  }
  return change;
}

std::vector<std::string> InKernelOrder(const std::set<std::string>& names,
                                       const std::vector<std::string>& node) {
  std::vector<std::string> ordered;
  for (const std::string& name : node) {
    if (names.count(name) != 0) {
      ordered.push_back(name);
    }
  }
  return ordered;
}

}  // namespace

absl::StatusOr<std::string> CanonicalCapability(absl::string_view name) {
  std::string lower = absl::AsciiStrToLower(name);
  if (!absl::StartsWith(lower, "cap_")) {
    lower.insert(0, "cap_");
  }
  cap_value_t value;
  // libcap stops at a NUL, and protobuf strings may hold one.
  if (lower.find('\0') != std::string::npos ||
      cap_from_name(lower.c_str(), &value) != 0) {
    return absl::InvalidArgumentError(absl::StrCat(
        "capability \"", name,
        "\" is unknown; names are those of capabilities(7), with or without "
        "CAP_, or ALL"));
  }
  return absl::AsciiStrToUpper(lower);
}

std::vector<std::string> CapabilitiesOfMask(uint64_t mask) {
  std::vector<std::string> names;
  for (int bit = 0; bit < 64; ++bit) {
    if ((mask >> bit & 1) == 0) {
      continue;
    }
    char* name = cap_to_name(bit);
    // A kernel newer than libcap: the number comes back, which no OCI runtime
    // would take.
    if (name != nullptr && absl::StartsWith(name, "cap_")) {
      names.push_back(absl::AsciiStrToUpper(name));
    }
    cap_free(name);
  }
  return names;
}

absl::StatusOr<CapabilitySets> ChooseCapabilities(
    const state::v1::Security& security, const std::vector<std::string>& node) {
  const std::set<std::string> available(node.begin(), node.end());
  std::set<std::string> held;
  if (security.privileged()) {
    held = available;
  } else {
    QUOLL_ASSIGN_OR_RETURN(Change add,
                           ParseChange(security.add_capabilities()));
    QUOLL_ASSIGN_OR_RETURN(Change drop,
                           ParseChange(security.drop_capabilities()));
    // A daemon that was itself confined lacks some of the default ones: its
    // containers lack them too, as nobody asked for them by name.
    if (add.all) {
      held = available;
    } else {
      for (absl::string_view name : kDefaults) {
        held.insert(std::string(name));
      }
    }
    if (drop.all) {
      held.clear();
    }
    for (const std::string& name : add.names) {
      if (drop.names.count(name) == 0 && available.count(name) == 0) {
        return absl::FailedPreconditionError(absl::StrCat(
            "capability ", name,
            " cannot be given: this daemon does not hold it; add it to "
            "quolld's own bounding set"));
      }
    }
    held.insert(add.names.begin(), add.names.end());
    for (const std::string& name : drop.names) {
      held.erase(name);
    }
  }
  CapabilitySets sets;
  sets.held = InKernelOrder(held, node);
  QUOLL_ASSIGN_OR_RETURN(Change ambient,
                         ParseChange(security.ambient_capabilities()));
  for (const std::string& name : ambient.names) {
    if (!absl::c_linear_search(sets.held, name)) {
      return absl::InvalidArgumentError(
          absl::StrCat("ambient capability ", name,
                       " is not among the container's capabilities; add it "
                       "there too"));
    }
  }
  sets.ambient = ambient.all ? sets.held : InKernelOrder(ambient.names, node);
  return sets;
}

}  // namespace quoll::runtime
