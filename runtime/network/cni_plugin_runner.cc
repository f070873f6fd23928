// SPDX-License-Identifier: Apache-2.0
#include "runtime/network/cni_plugin_runner.h"

#include <sys/eventfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include <utility>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"

#include "os/annotate.h"
#include "os/process.h"
#include "os/status_macros.h"
#include "runtime/network/cni_result.h"
#include "runtime/network/json_text.h"
#include "spdlog/spdlog.h"

namespace quoll::runtime {
namespace {

// Results are a few hundred bytes; this is what a mad plugin may make us hold.
constexpr size_t kMaxOutputBytes = 1u << 20;

// Plugins call iptables, ebtables, ip and the like by name. The daemon's own
// PATH may be anything.
constexpr char kPath[] =
    "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

std::string Subject(absl::string_view type, absl::string_view command) {
  return absl::StrCat("CNI ", command, " by plugin ", type);
}

std::string Describe(const os::ExitStatus& exit) {
  return exit.signal != 0 ? absl::StrCat("killed by signal ", exit.signal)
                          : absl::StrCat("exit code ", exit.code);
}

}  // namespace

CniPluginRunner::CniPluginRunner(Options options)
    : options_(std::move(options)), stop_(eventfd(0, EFD_CLOEXEC)) {}

void CniPluginRunner::Stop() {
  absl::MutexLock lock(&mu_);
  stopped_ = true;
  // Cannot block nor fail: the counter goes from 0 to 1, if it is there at all.
  (void)eventfd_write(stop_.get(), 1);
}

absl::StatusOr<std::string> CniPluginRunner::Find(
    absl::string_view type) const {
  for (const std::string& dir : options_.bin_dirs) {
    std::string path = absl::StrCat(dir, "/", type);
    struct stat info {};
    if (stat(path.c_str(), &info) == 0 && S_ISREG(info.st_mode) &&
        access(path.c_str(), X_OK) == 0) {
      return path;
    }
  }
  return absl::FailedPreconditionError(
      absl::StrCat("no such plugin in ", absl::StrJoin(options_.bin_dirs, ":"),
                   "; install it there or change the CNI configuration"));
}

absl::StatusOr<std::string> CniPluginRunner::Execute(
    const std::string& program, const Invocation& invocation,
    absl::Time deadline) const {
  os::CommandRequest request;
  request.spawn.argv = {program};
  request.spawn.env = {
      kPath,
      absl::StrCat("CNI_COMMAND=", invocation.command),
      absl::StrCat("CNI_CONTAINERID=", invocation.container_id),
      absl::StrCat("CNI_NETNS=", invocation.netns),
      absl::StrCat("CNI_IFNAME=", invocation.ifname),
      absl::StrCat("CNI_ARGS=", invocation.args),
      absl::StrCat("CNI_PATH=", absl::StrJoin(options_.bin_dirs, ":")),
  };
  request.input = invocation.config;
  request.max_output_bytes = kMaxOutputBytes;
  request.deadline = deadline;
  request.cancel_fd = stop_.get();
  QUOLL_ASSIGN_OR_RETURN(os::CommandResult result, os::RunCommand(request));
  // The limit holds for each stream; only a cut result is of no use.
  if (result.truncated && result.out.size() >= kMaxOutputBytes) {
    return absl::FailedPreconditionError(
        absl::StrCat("it printed more than ", kMaxOutputBytes, " bytes (",
                     Describe(result.exit), ")"));
  }
  if (result.exit.ShellCode() != 0) {
    return CniErrorStatus(result.out, result.err, Describe(result.exit));
  }
  if (!result.err.empty()) {
    spdlog::debug("sandbox {}: {} {} says: {}", invocation.container_id,
                  invocation.command, program, OneLine(result.err));
  }
  return std::move(result.out);
}

absl::Status CniPluginRunner::CheckInstalled(absl::string_view type,
                                             absl::string_view command) const {
  return os::Annotate(Find(type).status(), Subject(type, command));
}

absl::StatusOr<std::string> CniPluginRunner::Run(absl::string_view type,
                                                 const Invocation& invocation,
                                                 absl::Time deadline) {
  const std::string subject = Subject(type, invocation.command);
  absl::StatusOr<std::string> program = Find(type);
  if (!program.ok()) {
    return os::Annotate(program.status(), subject);
  }
  {
    auto free_slot = [this]() ABSL_SHARED_LOCKS_REQUIRED(mu_) {
      return stopped_ || running_ < options_.max_running;
    };
    absl::MutexLock lock(&mu_);
    if (!mu_.AwaitWithDeadline(absl::Condition(&free_slot), deadline)) {
      return absl::DeadlineExceededError(
          absl::StrCat(subject, ": ", options_.max_running,
                       " plugins run already and none has ended in time"));
    }
    if (stopped_) {
      return absl::CancelledError(
          absl::StrCat(subject, ": the daemon is stopping"));
    }
    ++running_;
  }
  const absl::Cleanup leave = [this] {
    absl::MutexLock lock(&mu_);
    --running_;
  };
  absl::StatusOr<std::string> out = Execute(*program, invocation, deadline);
  if (!out.ok()) {
    return os::Annotate(out.status(), subject);
  }
  return out;
}

}  // namespace quoll::runtime
