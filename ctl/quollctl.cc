// SPDX-License-Identifier: Apache-2.0
#include "ctl/quollctl.h"

#include <stdlib.h>

#include <algorithm>
#include <filesystem>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"

#include "CLI/CLI.hpp"
#include "ctl/command.h"
#include "ctl/command_words.h"
#include "ctl/table.h"

namespace quoll::ctl {
namespace {

constexpr AddCommand kCommands[] = {
    AddRun,    AddPods, AddPs,   AddExec, AddLogs, AddStop,    AddRm,
    AddImages, AddPull, AddLoad, AddRmi,  AddInfo, AddInspect, AddVersion,
};

constexpr char kFooter[] =
    "An ID is an id, the beginning of one, or a name; a container is also "
    "called\n"
    "POD/CONTAINER.\n"
    "Exit codes: 0 done; 1 the daemon refused or does not answer; 2 the "
    "command\n"
    "line is wrong; 3 there is no such pod, container or image. exec passes "
    "its\n"
    "command's code on, and answers 125 where there is none.";

struct Globals {
  std::string socket = "/run/quoll/quoll.sock";
  std::string output = "table";
};

void AddGlobals(CLI::App& app, Globals& globals) {
  app.add_option("--socket", globals.socket,
                 "the daemon's socket (default: $QUOLL_SOCKET, or "
                 "/run/quoll/quoll.sock)")
      ->type_name("PATH");
  app.add_option("-o,--output", globals.output, "table (default) or json")
      ->check(CLI::IsMember({"table", "json"}))
      ->type_name("FORMAT");
}

std::string UsageMessage(const CLI::App* app, const CLI::Error& error) {
  const std::vector<CLI::App*> chosen =
      const_cast<CLI::App*>(app)->get_subcommands();
  return absl::StrCat("quollctl: ", Printable(error.what()), "\nTry: quollctl ",
                      chosen.empty() ? "" : chosen.front()->get_name() + " ",
                      "--help\n");
}

int ExitCode(const absl::Status& status) {
  if (IsUsageError(status)) {
    return kExitUsage;
  }
  return absl::IsNotFound(status) ? kExitNotFound : kExitFailed;
}

}  // namespace

int Quollctl(int argc, const char* const* argv) {
  Globals globals;
  if (const char* socket = getenv("QUOLL_SOCKET");
      socket != nullptr && *socket != '\0') {
    globals.socket = socket;
  }
  Work chosen;
  CLI::App app("A client of quolld, Quoll's daemon.", "quollctl");
  app.footer(kFooter);
  app.failure_message(UsageMessage);
  app.set_version_flag("--version", "quollctl " QUOLL_VERSION);
  AddGlobals(app, globals);
  app.require_subcommand(0, 1);  // a mistyped one is named by the parser
  for (const AddCommand add : kCommands) {
    add(app, chosen);
  }
  // People write them behind the command, too.
  for (CLI::App* command : app.get_subcommands({})) {
    AddGlobals(*command, globals);
  }
  std::vector<std::string> args(argv + std::min(argc, 1), argv + argc);
  std::vector<std::string> words = TakeCommandWords(app, args);
  std::reverse(args.begin(), args.end());  // as parse() wants them
  try {
    app.parse(args);
  } catch (const CLI::ParseError& error) {
    // Help is no error; everything else is one kind of it here.
    return app.exit(error) == 0 ? kExitOk : kExitUsage;
  }
  if (!chosen) {
    PrintError(UsageError("a command is missing: see quollctl --help"));
    return kExitUsage;
  }
  // Logs of pods are kept beside it, and the daemon takes absolute paths only.
  std::error_code ignored;  // then it stays as it was given
  const std::filesystem::path socket =
      std::filesystem::absolute(globals.socket, ignored);
  Client client(ignored ? globals.socket : socket.string());
  Context context{.client = client,
                  .json = globals.output == "json",
                  .words = std::move(words)};
  const absl::StatusOr<int> code = chosen(context);
  if (!code.ok()) {
    PrintError(code.status());
    return ExitCode(code.status());
  }
  return *code;
}

}  // namespace quoll::ctl
