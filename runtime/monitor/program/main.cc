// SPDX-License-Identifier: Apache-2.0
// quoll-monitor: the parent of a container's init, or of one exec.
//
//   quoll-monitor container ID    runs a container
//   quoll-monitor exec ID         runs one command in a container
//   quoll-monitor exec-kill ID    kills what an exec left
//
// Started by quolld only: the working directory is the container's bundle, the
// configuration comes on descriptor 3 and the report goes to 4 (protocol.h).
// The ID on the command line is for people who look at ps.
#include <string.h>
#include <unistd.h>

#include "runtime/monitor/program/config.h"
#include "runtime/monitor/program/container_monitor.h"
#include "runtime/monitor/program/exec_monitor.h"
#include "runtime/monitor/program/files.h"
#include "runtime/monitor/program/report.h"

namespace quoll::runtime::monitor {
namespace {

char config_text[64 * 1024];
Config config;

int Usage() {
  constexpr char kText[] =
      "quoll-monitor is started by quolld; there is nothing to run by hand\n";
  WriteAll(STDERR_FILENO, kText, sizeof(kText) - 1);
  return 2;
}

// A configuration that cannot be used, reported as the mode does.
int BadConfig(bool exec, const char* problem) {
  if (exec) {
    ExecReport report;
    SendMessage(kReportFd, MessageType::kExecReport, &report, sizeof(report),
                problem, strlen(problem));
  } else {
    FailureReport report;
    SendMessage(kReportFd, MessageType::kFailed, &report, sizeof(report),
                problem, strlen(problem));
  }
  return 2;
}

int Main(int argc, char** argv) {
  if (argc != 3) {
    return Usage();
  }
  const bool exec = strcmp(argv[1], "exec") == 0;
  const bool exec_kill = strcmp(argv[1], "exec-kill") == 0;
  if (!exec && !exec_kill && strcmp(argv[1], "container") != 0) {
    return Usage();
  }
  const ssize_t size = ReadToEnd(kConfigFd, config_text, sizeof(config_text));
  if (size < 0) {
    return BadConfig(exec, "config: cannot be read");
  }
  if (const char* problem =
          ParseConfig(config_text, static_cast<size_t>(size), &config)) {
    return BadConfig(exec, problem);
  }
  int config_fd = kConfigFd;
  CloseFd(&config_fd);
  if (exec || exec_kill) {
    static ExecMonitor monitor(config);
    return exec ? monitor.Main() : monitor.MainKill();
  }
  static ContainerMonitor monitor(config);
  return monitor.Main();
}

}  // namespace
}  // namespace quoll::runtime::monitor

int main(int argc, char** argv) {
  return quoll::runtime::monitor::Main(argc, argv);
}
