// SPDX-License-Identifier: Apache-2.0
#include "cri/programs.h"

#include <errno.h>
#include <limits.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"

#include "os/annotate.h"
#include "os/process.h"
#include "os/status_macros.h"

namespace quoll::cri {
namespace {

constexpr std::array<absl::string_view, 6> kDirectories = {
    "/usr/local/sbin", "/usr/local/bin", "/usr/sbin",
    "/usr/bin",        "/sbin",          "/bin"};

// OK for a regular file that may be executed.
absl::Status CheckExecutable(const std::string& path) {
  struct stat info {};
  if (stat(path.c_str(), &info) != 0) {
    return absl::ErrnoToStatus(errno, path);
  }
  if (!S_ISREG(info.st_mode) || (info.st_mode & 0111) == 0) {
    return absl::FailedPreconditionError(
        absl::StrCat(path, " is no executable file"));
  }
  return absl::OkStatus();
}

std::string DirectoryOf(const std::string& path) {
  return path.substr(0, path.rfind('/'));
}

// First line of `program --version`.
std::string VersionLine(const std::string& program) {
  os::CommandRequest request;
  request.spawn.argv = {program, "--version"};
  request.max_output_bytes = 4096;
  request.deadline = absl::Now() + absl::Seconds(10);
  const absl::StatusOr<os::CommandResult> result = os::RunCommand(request);
  if (!result.ok()) {
    return absl::StrCat("does not run: ", result.status().message());
  }
  if (result->exit.ShellCode() != 0) {
    return absl::StrCat("--version ends with ", result->exit.ShellCode());
  }
  return result->out.substr(0, result->out.find('\n'));
}

}  // namespace

absl::StatusOr<std::string> FindProgram(const std::string& program) {
  if (absl::StrContains(program, '/')) {
    QUOLL_RETURN_IF_ERROR(CheckExecutable(program));
    return program;
  }
  for (const absl::string_view directory : kDirectories) {
    std::string path = absl::StrCat(directory, "/", program);
    if (CheckExecutable(path).ok()) {
      return path;
    }
  }
  return absl::NotFoundError(
      absl::StrCat(program,
                   " is in none of /usr/local/sbin, /usr/local/bin, "
                   "/usr/sbin, /usr/bin, /sbin and /bin"));
}

absl::StatusOr<HelperPrograms> FindHelpers(const std::string& configured,
                                           const std::string& self) {
  std::string directory = configured;
  if (directory.empty()) {
    const std::string own = DirectoryOf(self);
    directory = DirectoryOf(own) + "/libexec/quoll";
    if (!CheckExecutable(directory + "/quoll-helper").ok()) {
      directory = own;
    }
  }
  HelperPrograms programs{
      .helper = directory + "/quoll-helper",
      .monitor = directory + "/quoll-monitor",
      .pause = directory + "/quoll-pause",
      .unpack = directory + "/quoll-unpack",
  };
  for (const std::string& path :
       {programs.helper, programs.monitor, programs.pause, programs.unpack}) {
    QUOLL_RETURN_IF_ERROR(os::Annotate(
        CheckExecutable(path),
        "a program of Quoll's own is missing (is libexec_dir right?)"));
  }
  return programs;
}

absl::StatusOr<std::string> SelfPath() {
  char path[PATH_MAX];
  const ssize_t size = readlink("/proc/self/exe", path, sizeof(path));
  if (size < 0 || static_cast<size_t>(size) == sizeof(path)) {
    return absl::ErrnoToStatus(size < 0 ? errno : ENAMETOOLONG,
                               "read link /proc/self/exe");
  }
  std::string self(path, static_cast<size_t>(size));
  // What the kernel adds when an upgrade has replaced the file under us.
  constexpr absl::string_view kDeleted = " (deleted)";
  if (absl::EndsWith(self, kDeleted)) {
    self.resize(self.size() - kDeleted.size());
  }
  return self;
}

absl::StatusOr<HandlerPrograms> FindHandlers(const Config& config) {
  HandlerPrograms programs;
  for (const auto& [name, handler] : config.runtimes) {
    const absl::StatusOr<std::string> path = FindProgram(handler.program);
    if (path.ok()) {
      programs.found[name] = *path;
    } else if (name == config.runtime.default_handler) {
      return absl::FailedPreconditionError(absl::StrCat(
          "default handler ", name, ": ", path.status().message(),
          "; install it, or set runtime.default_handler or runtimes.", name,
          ".program"));
    } else {
      programs.missing[name] = std::string(path.status().message());
    }
  }
  return programs;
}

CheckReport CheckPrograms(const Config& config) {
  CheckReport report;
  const auto keep = [&report](absl::string_view subject,
                              const absl::Status& status) {
    report.lines.push_back(absl::StrCat(subject, ": ", status.message()));
    report.problem.Update(status);
  };
  const absl::StatusOr<HandlerPrograms> handlers = FindHandlers(config);
  if (handlers.ok()) {
    for (const auto& [name, path] : handlers->found) {
      report.lines.push_back(
          absl::StrCat("runtimes.", name, ": ", path, ": ", VersionLine(path)));
    }
    for (const auto& [name, why] : handlers->missing) {
      report.lines.push_back(
          absl::StrCat("runtimes.", name, ": not offered: ", why));
    }
  } else {
    keep("runtimes", handlers.status());
  }
  const absl::StatusOr<std::string> self = SelfPath();
  const absl::StatusOr<HelperPrograms> helpers =
      self.ok() ? FindHelpers(config.libexec_dir, *self) : self.status();
  if (helpers.ok()) {
    report.lines.push_back(
        absl::StrCat("libexec_dir: ", DirectoryOf(helpers->helper)));
  } else {
    keep("libexec_dir", helpers.status());
  }
  if (const std::string& ca = config.image.ca_file; !ca.empty()) {
    report.lines.push_back(absl::StrCat(
        "image.ca_file: ", ca,
        access(ca.c_str(), R_OK) == 0
            ? ""
            : ": not readable: no registry can be trusted without it"));
  }
  // Both may come later, with the network's own installation.
  for (const std::string& directory : config.network.bin_dirs) {
    report.lines.push_back(absl::StrCat(
        "network.bin_dirs: ", directory,
        access(directory.c_str(), X_OK) == 0 ? "" : ": not there (yet)"));
  }
  report.lines.push_back(absl::StrCat(
      "network.conf_dir: ", config.network.conf_dir,
      access(config.network.conf_dir.c_str(), R_OK) == 0
          ? ""
          : ": not there (yet): pods without host network wait for it"));
  return report;
}

}  // namespace quoll::cri
