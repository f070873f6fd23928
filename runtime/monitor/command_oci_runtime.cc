// SPDX-License-Identifier: Apache-2.0
#include "runtime/monitor/command_oci_runtime.h"

#include <errno.h>
#include <sys/mman.h>
#include <unistd.h>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"

#include "os/annotate.h"
#include "os/files.h"
#include "os/status_macros.h"
#include "os/unique_fd.h"
#include "runtime/monitor/oci_command.h"

namespace quoll::runtime {
namespace {

std::string Subject(const std::string& container_id) {
  return absl::StrCat("container ", container_id);
}

// The words of runc ("container not running") and crun ("the container `X` is
// not running", "kill container: No such process") for one that has ended.
bool SaysNotRunning(const absl::Status& status) {
  return absl::StrContains(status.message(), "not running") ||
         absl::StrContains(status.message(), "No such process") ||
         absl::StrContains(status.message(), "process already finished");
}

}  // namespace

absl::Status CommandOciRuntime::Start(const std::string& container_id,
                                      absl::Time deadline) {
  absl::Status status =
      RunOci(program_, {"start", container_id}, -1, deadline).status();
  if (!status.ok() && !MayHaveOciState(program_, container_id)) {
    status = absl::NotFoundError(status.message());
  }
  return os::Annotate(status, Subject(container_id));
}

absl::Status CommandOciRuntime::KillAll(const std::string& container_id,
                                        int signo, absl::Time deadline) {
  if (!MayHaveOciState(program_, container_id)) {
    return absl::OkStatus();
  }
  const absl::Status status =
      RunOci(program_, {"kill", "--all", container_id, absl::StrCat(signo)}, -1,
             deadline)
          .status();
  if (!status.ok() &&
      (SaysNotRunning(status) || !MayHaveOciState(program_, container_id))) {
    return absl::OkStatus();
  }
  return os::Annotate(status, Subject(container_id));
}

absl::Status CommandOciRuntime::Delete(const std::string& container_id,
                                       bool force, absl::Time deadline) {
  return os::Annotate(DeleteOciState(program_, container_id, force, deadline),
                      Subject(container_id));
}

absl::Status CommandOciRuntime::Update(const std::string& container_id,
                                       const std::string& resources_json,
                                       absl::Time deadline) {
  // Both runtimes open a path; a pipe on stdin only runc would take ("-").
  os::UniqueFd file(memfd_create("resources", MFD_CLOEXEC));
  if (!file.valid()) {
    return absl::ErrnoToStatus(errno, "memfd_create");
  }
  QUOLL_RETURN_IF_ERROR(os::WriteAll(file.get(), resources_json));
  return os::Annotate(
      RunOci(program_,
             {"update", "--resources", "/proc/self/fd/3", container_id},
             file.get(), deadline)
          .status(),
      Subject(container_id));
}

absl::StatusOr<std::string> CommandOciRuntime::Version(absl::Time deadline) {
  os::CommandRequest request;
  request.spawn.argv = {program_.program, "--version"};
  request.spawn.env = OciEnvironment();
  request.deadline = deadline;
  absl::StatusOr<os::CommandResult> result = os::RunCommand(request);
  if (!result.ok() || result->exit.ShellCode() != 0) {
    return absl::UnavailableError(absl::StrCat(
        program_.program, " --version: ",
        result.ok() ? absl::StrCat("exit code ", result->exit.ShellCode())
                    : std::string(result.status().message())));
  }
  return result->out.substr(0, result->out.find('\n'));
}

}  // namespace quoll::runtime
