// SPDX-License-Identifier: Apache-2.0
#include <signal.h>

#include <cstdio>
#include <string>

#include "absl/status/status.h"

#include "CLI/CLI.hpp"
#include "ctl/command.h"

namespace quoll::ctl {
namespace {

constexpr AddCommand kCommands[] = {
    AddPods, AddPs,   AddImages, AddRun,     AddExec,    AddLogs, AddStop,
    AddRm,   AddPull, AddLoad,   AddInspect, AddVersion, AddInfo, AddRmi,
};

constexpr char kFooter[] =
    "Exit codes: 0 done; 1 the daemon refused or does not answer; 2 the "
    "command\n"
    "line is wrong; 3 there is no such pod, container or image; exec passes "
    "on\n"
    "the code of its command.";

int ExitCode(const absl::Status& status) {
  return absl::IsNotFound(status) ? kExitNotFound : kExitFailed;
}

int Main(int argc, char** argv) {
  std::string socket = "/run/quoll/quoll.sock";
  std::string output = "table";
  Work chosen;
  CLI::App app("A client of quolld, Quoll's daemon.", "quollctl");
  app.footer(kFooter);
  app.add_option("--socket", socket, "the daemon's socket")
      ->envname("QUOLL_SOCKET")
      ->capture_default_str();
  app.add_option("-o,--output", output, "table or json")
      ->check(CLI::IsMember({"table", "json"}))
      ->capture_default_str();
  app.require_subcommand(1);
  for (const AddCommand add : kCommands) {
    add(app, chosen);
  }
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    // Help is no error; everything else is one kind of it here.
    return app.exit(error) == 0 ? kExitOk : kExitUsage;
  }
  Client client(socket);
  Context context{.client = client, .json = output == "json"};
  const absl::StatusOr<int> code = chosen(context);
  if (!code.ok()) {
    fprintf(stderr, "quollctl: %s\n",
            std::string(code.status().message()).c_str());
    return ExitCode(code.status());
  }
  return *code;
}

}  // namespace
}  // namespace quoll::ctl

int main(int argc, char** argv) {
  // `quollctl logs | head` ends with an error of the write, not by a signal
  // whose exit code scripts would have to know.
  signal(SIGPIPE, SIG_IGN);
  return quoll::ctl::Main(argc, argv);
}
