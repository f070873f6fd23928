// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"

#include "CLI/CLI.hpp"
#include "ctl/client.h"

namespace quoll::ctl {

// What all commands share: where the daemon is, and how answers are printed.
struct Context {
  Client& client;
  bool json = false;
};

// Exit codes of quollctl. `exec` and a foreground command pass on the code of
// what they ran instead.
inline constexpr int kExitOk = 0;
inline constexpr int kExitFailed = 1;    // the daemon refused, or is not there
inline constexpr int kExitUsage = 2;     // the command line is wrong
inline constexpr int kExitNotFound = 3;  // no such pod, container or image

// A command's work: the exit code, or an error to be printed.
using Work = std::function<absl::StatusOr<int>(Context&)>;

// The words behind the positionals of a prefix command, without the "--" that
// may introduce them.
std::vector<std::string> CommandWords(const CLI::App& command);

// Each adds one sub-command to `app`; when that one is on the command line,
// `chosen` becomes what it does. One file per command.
using AddCommand = void (*)(CLI::App& app, Work& chosen);

void AddExec(CLI::App& app, Work& chosen);
void AddImages(CLI::App& app, Work& chosen);
void AddInfo(CLI::App& app, Work& chosen);
void AddInspect(CLI::App& app, Work& chosen);
void AddLoad(CLI::App& app, Work& chosen);
void AddLogs(CLI::App& app, Work& chosen);
void AddPods(CLI::App& app, Work& chosen);
void AddPs(CLI::App& app, Work& chosen);
void AddPull(CLI::App& app, Work& chosen);
void AddRm(CLI::App& app, Work& chosen);
void AddRmi(CLI::App& app, Work& chosen);
void AddRun(CLI::App& app, Work& chosen);
void AddStop(CLI::App& app, Work& chosen);
void AddVersion(CLI::App& app, Work& chosen);

}  // namespace quoll::ctl
