// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <set>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace quoll::runtime {

// One CNI network: a validated configuration list (CNI spec, section 1). A
// value; parsing does no I/O.
struct CniNetwork {
  struct Plugin {
    std::string type;  // a bare file name
    // The capabilities that it declares as true.
    std::set<std::string> capabilities;
    // Its configuration as written, without "capabilities" (which the spec
    // keeps from plugins).
    std::string config_json;
  };

  std::string name;
  std::string cni_version;  // one that we know
  bool disable_check = false;
  std::vector<Plugin> plugins;  // in order of ADD; not empty
  // The whole list again, fit for ParseCniConfList: what the journal keeps.
  std::string conflist_json;
};

// A .conflist. InvalidArgument says what is wrong with it.
absl::StatusOr<CniNetwork> ParseCniConfList(absl::string_view text);

// A .conf or .json of old: one plugin, which becomes a list of one.
absl::StatusOr<CniNetwork> ParseCniConf(absl::string_view text);

// Compares "1.0.0" with major.minor.0; `version` must be one that we know.
bool CniVersionAtLeast(absl::string_view version, int major, int minor);

// What the spec allows as a network's name and as a container's id: a letter or
// digit, then letters, digits, '_', '.', '-'.
bool IsCniIdentifier(absl::string_view text);

}  // namespace quoll::runtime
