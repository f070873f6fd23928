// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"

#include "os/annotate.h"
#include "os/files.h"
#include "os/status_macros.h"
#include "runtime/launch/oci_spec.h"
#include "runtime/operations.h"

namespace quoll::runtime {
namespace {

absl::Status CheckRuns(const ContainerRecord& record) {
  if (record.phase() == state::v1::CONTAINER_RUNNING) {
    return absl::OkStatus();
  }
  return absl::FailedPreconditionError(
      absl::StrCat(Subject(record), " does not run"));
}

}  // namespace

absl::StatusOr<ContainerService::ExecOutput> ExecInContainer(
    Engine& engine, const ContainerRecord& record,
    const std::vector<std::string>& argv, absl::Duration timeout,
    const os::Call& call) {
  if (argv.empty()) {
    return absl::InvalidArgumentError("cmd is empty; give a command to run");
  }
  QUOLL_RETURN_IF_ERROR(CheckRuns(record));
  QUOLL_ASSIGN_OR_RETURN(OciRuntime* const runtime,
                         engine.Handler(record.runtime_name()));
  const Paths& paths = engine.options.paths;
  QUOLL_ASSIGN_OR_RETURN(const std::string config,
                         os::ReadFile(paths.ConfigJson(record.id())));
  ExecRequest request;
  QUOLL_ASSIGN_OR_RETURN(request.process_json,
                         BuildExecProcess(config, argv, /*tty=*/false));
  request.container_id = record.id();
  request.bundle = paths.ContainerRun(record.id());
  request.runtime = runtime->program();
  request.init = FromProto(record.init());
  request.cgroups_path = record.cgroups_path();
  auto result = engine.parts.monitors.ExecSync(
      request, call.DeadlineWithin(timeout), call.cancelled);
  QUOLL_RETURN_IF_ERROR(os::Annotate(
      result.status(), absl::StrCat(Subject(record), ": exec ", argv[0])));
  return ContainerService::ExecOutput{.exit_code = result->exit_code,
                                      .out = std::move(result->out),
                                      .err = std::move(result->err)};
}

absl::Status ReopenContainerLog(Engine& engine, const ContainerRecord& record,
                                const os::Call& call) {
  QUOLL_RETURN_IF_ERROR(CheckRuns(record));
  return os::Annotate(
      engine.parts.monitors.ReopenLog(
          engine.options.paths.ContainerRun(record.id()),
          call.DeadlineWithin(engine.options.runtime_timeout)),
      absl::StrCat(Subject(record), ": reopen ", record.log_path()));
}

}  // namespace quoll::runtime
