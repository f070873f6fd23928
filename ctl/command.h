// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

#include "CLI/CLI.hpp"
#include "ctl/client.h"

namespace quoll::ctl {

// What all commands share: where the daemon is, how answers are printed, and
// the words behind the operand of `run` and `exec`.
struct Context {
  Client& client;
  bool json = false;
  std::vector<std::string> words;
};

// Exit codes of quollctl. `exec` passes on the code of what it ran.
inline constexpr int kExitOk = 0;
inline constexpr int kExitFailed = 1;    // the daemon refused, or is not there
inline constexpr int kExitUsage = 2;     // the command line is wrong
inline constexpr int kExitNotFound = 3;  // no such pod, container or image
inline constexpr int kExitNotRun = 125;  // exec has not come to a code to pass

// A command's work: the exit code, or an error to be printed.
using Work = std::function<absl::StatusOr<int>(Context&)>;

// Marks an error as one of the command line: kExitUsage.
absl::Status UsageError(absl::string_view message);
bool IsUsageError(const absl::Status& status);

// Prints an error as people see it: "quollctl: ...", on one line of standard
// error, control characters neutralised (it may quote a container's words).
void PrintError(const absl::Status& status);

// Does `one` to each word, also behind one that has failed, and prints the ids
// that it returns. An error is printed at once; the exit code is that of the
// worst.
int ForEachWord(
    const Context& context, const std::vector<std::string>& words,
    const std::function<absl::StatusOr<std::string>(const std::string&)>& one);

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
