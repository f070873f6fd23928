// SPDX-License-Identifier: Apache-2.0
#include <malloc.h>
#include <pthread.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include <cstdio>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"

#include "CLI/CLI.hpp"
#include "cri/config.h"
#include "cri/daemon.h"
#include "cri/programs.h"
#include "os/log.h"
#include "os/status_macros.h"
#include "spdlog/spdlog.h"

#include <systemd/sd-daemon.h>

namespace quoll::cri {
namespace {

constexpr char kDefaultConfig[] = "/etc/quoll/quoll.toml";
constexpr int kUsageError = 2;
// systemd sends KILL after 90 s; what a call has begun by then is finished by
// the next start.
constexpr absl::Duration kShutdownGrace = absl::Seconds(20);

// Process-wide settings that must precede the first thread.
void SetUpProcess() {
  // Pods pass through what we make for them (root file systems, volumes,
  // /etc/resolv.conf), whatever umask the caller's shell has; what nobody else
  // may see is given its mode by name.
  umask(022);
  // glibc gives every thread of a busy server a 64 MiB arena of its own, which
  // an idle one never gives back.
  mallopt(M_ARENA_MAX, 2);
  mallopt(M_TRIM_THRESHOLD, 256 << 10);
  // A write to a socket or pipe that the other side has left is an error of
  // that write.
  signal(SIGPIPE, SIG_IGN);
  // 1,024 descriptors are few for a node of 1,000 pods; children get their own
  // limits from the OCI runtime.
  rlimit files{};
  if (getrlimit(RLIMIT_NOFILE, &files) == 0 &&
      files.rlim_cur != files.rlim_max) {
    files.rlim_cur = files.rlim_max;
    if (setrlimit(RLIMIT_NOFILE, &files) != 0) {
      fprintf(stderr, "quolld: setrlimit(RLIMIT_NOFILE): %m\n");
    }
  }
}

// Signals that end the daemon: blocked everywhere, taken by AwaitSignal.
sigset_t BlockSignals() {
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGTERM);
  sigaddset(&signals, SIGINT);
  sigaddset(&signals, SIGHUP);
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  return signals;
}

int AwaitSignal(const sigset_t& signals) {
  while (true) {
    int signo = 0;
    if (sigwait(&signals, &signo) != 0) {
      continue;
    }
    if (signo == SIGHUP) {
      // Many tools send it meaning "read your configuration again".
      spdlog::info(
          "SIGHUP: restart quolld to apply a changed configuration; "
          "containers run on meanwhile");
      continue;
    }
    return signo;
  }
}

absl::Status RunDaemon(const Config& config) {
  const sigset_t signals = BlockSignals();
  os::LogOptions log;
  log.level = config.log.level;
  log.format =
      config.log.format == "json" ? os::LogFormat::kJson : os::LogFormat::kText;
  QUOLL_RETURN_IF_ERROR(os::InitLog(log));
  spdlog::info("quolld {} starts on {}", QUOLL_VERSION, config.state_dir);
  QUOLL_ASSIGN_OR_RETURN(const std::unique_ptr<Daemon> daemon,
                         Daemon::Start(config));
  malloc_trim(0);  // recovery has read every record once
  sd_notifyf(0, "READY=1\nSTATUS=Serving on %s", config.SocketPath().c_str());
  const int signo = AwaitSignal(signals);
  spdlog::info("signal {}: stops; containers run on", signo);
  sd_notify(0, "STOPPING=1\nSTATUS=Finishing calls that run");
  daemon->Shutdown(absl::Now() + kShutdownGrace);
  return absl::OkStatus();
}

int Check(const Config& config) {
  const CheckReport report = CheckPrograms(config);
  for (const std::string& line : report.lines) {
    printf("%s\n", line.c_str());
  }
  if (!report.problem.ok()) {
    fprintf(stderr, "quolld: not ready to run: %s\n",
            std::string(report.problem.message()).c_str());
    return 1;
  }
  printf("The configuration is valid.\n");
  return 0;
}

int Fail(const absl::Status& status) {
  fprintf(stderr, "quolld: %s\n", std::string(status.message()).c_str());
  return 1;
}

struct CommandLine {
  std::string config_file = kDefaultConfig;
  bool config_given = false;
  std::string check_file;
  bool dump_default = false;
};

int Main(int argc, char** argv) {
  CommandLine line;
  CLI::App app("Quoll's daemon: a container runtime for Kubernetes (CRI v1).",
               "quolld");
  app.set_version_flag("--version", "quolld " QUOLL_VERSION);
  CLI::Option* file =
      app.add_option("--config", line.config_file, "configuration file (TOML)");
  file->capture_default_str();
  app.require_subcommand(0, 1);
  app.fallthrough();
  app.add_subcommand("run", "serve until SIGTERM (the default)");
  CLI::App* config = app.add_subcommand("config", "look at the configuration");
  config->require_subcommand(1);
  CLI::App* dump = config->add_subcommand(
      "dump", "print what is in effect, every key explained");
  dump->add_flag("--default", line.dump_default,
                 "print a file to start from: every key with its default, "
                 "commented out");
  CLI::App* check = config->add_subcommand(
      "check", "validate a configuration and run its programs' --version");
  check->add_option("FILE", line.check_file, "instead of --config");
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& end) {  // also how --help and --version end
    return app.exit(end) == 0 ? 0 : kUsageError;
  }

  if (dump->parsed() && line.dump_default) {
    fputs(DumpConfig({}, DumpStyle::kCommentedOut).c_str(), stdout);
    return 0;
  }
  line.config_given = file->count() > 0;
  if (check->parsed() && !line.check_file.empty()) {
    line.config_file = line.check_file;
    line.config_given = true;
  }
  const absl::StatusOr<Config> loaded =
      LoadConfig(line.config_file, /*optional=*/!line.config_given);
  if (!loaded.ok()) {
    return Fail(loaded.status());
  }
  if (dump->parsed()) {
    fputs(DumpConfig(*loaded, DumpStyle::kValues).c_str(), stdout);
    return 0;
  }
  if (check->parsed()) {
    return Check(*loaded);
  }
  const absl::Status status = RunDaemon(*loaded);
  return status.ok() ? 0 : Fail(status);
}

}  // namespace
}  // namespace quoll::cri

int main(int argc, char** argv) {
  quoll::cri::SetUpProcess();
  return quoll::cri::Main(argc, argv);
}
