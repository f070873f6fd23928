// SPDX-License-Identifier: Apache-2.0
#include "runtime/monitor/oci_command.h"

#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"

#include "os/annotate.h"
#include "os/files.h"
#include "os/status_macros.h"
#include "runtime/monitor/runtime_log.h"

namespace quoll::runtime {

std::vector<std::string> OciEnvironment() {
  // Nothing of the daemon's own: runc acts on NOTIFY_SOCKET, LISTEN_FDS,
  // _LIBCONTAINER_* and XDG_RUNTIME_DIR.
  return {"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"};
}

absl::StatusOr<std::string> RunOci(const OciProgram& program,
                                   const std::vector<std::string>& args, int fd,
                                   absl::Time deadline) {
  os::CommandRequest request;
  request.spawn.argv = {program.program, "--log-format", "json", "--root",
                        program.root};
  request.spawn.argv.insert(request.spawn.argv.end(),
                            program.global_args.begin(),
                            program.global_args.end());
  request.spawn.argv.insert(request.spawn.argv.end(), args.begin(), args.end());
  request.spawn.env = OciEnvironment();
  if (fd >= 0) {
    request.spawn.fds.emplace_back(fd, 3);
  }
  request.deadline = deadline;
  const std::string subject = absl::StrCat(program.name, " ", args[0]);
  absl::StatusOr<os::CommandResult> result = os::RunCommand(request);
  if (!result.ok()) {
    const absl::Status& status = result.status();
    if (os::IsGivingUp(status)) {
      return os::Annotate(status, subject);
    }
    return absl::UnavailableError(absl::StrCat(
        subject, ": ", program.program, " cannot run: ", status.message()));
  }
  if (result->exit.ShellCode() == 0) {
    return std::move(result->out);
  }
  std::string message = LastRuntimeError(result->err);
  if (message.empty()) {
    message = result->exit.signal != 0
                  ? absl::StrCat("killed by signal ", result->exit.signal)
                  : absl::StrCat("exit code ", result->exit.code,
                                 " without a message");
  }
  return absl::FailedPreconditionError(absl::StrCat(subject, ": ", message));
}

bool MayHaveOciState(const OciProgram& program,
                     const std::string& container_id) {
  absl::StatusOr<std::vector<std::string>> names =
      os::ListDirectory(program.root);
  if (!names.ok()) {
    return !absl::IsNotFound(names.status());
  }
  for (const std::string& name : *names) {
    if (absl::StrContains(name, container_id)) {
      return true;
    }
  }
  return false;
}

absl::Status DeleteOciState(const OciProgram& program,
                            const std::string& container_id, bool force,
                            absl::Time deadline) {
  if (!MayHaveOciState(program, container_id)) {
    return absl::OkStatus();
  }
  absl::Status status =
      RunOci(program, {"delete", container_id}, -1, deadline).status();
  if (!status.ok() && force && !os::IsGivingUp(status) &&
      MayHaveOciState(program, container_id)) {
    status = RunOci(program, {"delete", "--force", container_id}, -1, deadline)
                 .status();
  }
  // "container does not exist", in whichever words.
  if (!status.ok() && !MayHaveOciState(program, container_id)) {
    return absl::OkStatus();
  }
  return status;
}

}  // namespace quoll::runtime
