// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <map>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

#include "cri/config.h"

namespace quoll::cri {

// Quoll's own helper programs, absolute.
struct HelperPrograms {
  std::string helper;
  std::string monitor;
  std::string pause;
  std::string unpack;
};

// A path must be an executable file; a bare name is looked up in the system's
// directories (not in $PATH, which a service manager may have set to anything).
// NotFound says where was looked.
absl::StatusOr<std::string> FindProgram(const std::string& program);

// In `configured` when that is set; else in ../libexec/quoll beside the
// directory of `self` (where the packages put them), else in that directory
// (where a build puts them). NotFound names the first that is missing.
absl::StatusOr<HelperPrograms> FindHelpers(const std::string& configured,
                                           const std::string& self);

// Absolute path of the program that runs.
absl::StatusOr<std::string> SelfPath();

struct HandlerPrograms {
  std::map<std::string, std::string> found;    // handler -> absolute path
  std::map<std::string, std::string> missing;  // handler -> why
};
// A handler whose program is missing is left out; only for the default handler
// that is an error.
absl::StatusOr<HandlerPrograms> FindHandlers(const Config& config);

// What `quolld config check` prints: a line for each program and directory that
// the configuration names. Every program is run once with --version.
struct CheckReport {
  std::vector<std::string> lines;
  absl::Status problem;  // the first thing that keeps quolld from starting
};
CheckReport CheckPrograms(const Config& config);

}  // namespace quoll::cri
