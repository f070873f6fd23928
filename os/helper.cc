// SPDX-License-Identifier: Apache-2.0
#include "os/helper.h"

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/time/clock.h"

#include "os/annotate.h"
#include "os/files.h"
#include "os/status_macros.h"

namespace quoll::os {
namespace {

// Undoing has its own time: the deadline that was missed is over.
constexpr absl::Duration kUndoTime = absl::Seconds(5);
// 1,000 pods with several overlays of long option strings each stay below.
constexpr size_t kMaxMountInfoBytes = 256u << 20;

// What a failed run said of itself: "CODE message" in the last line.
absl::Status ParseFailure(const CommandResult& result) {
  const absl::string_view words = absl::StripAsciiWhitespace(result.err);
  const absl::string_view line = words.substr(words.rfind('\n') + 1);
  const std::pair<absl::string_view, absl::string_view> parts =
      absl::StrSplit(line, absl::MaxSplits(' ', 1));
  int code = 0;
  const int last = static_cast<int>(absl::StatusCode::kUnauthenticated);
  if (result.exit.signal == 0 && absl::SimpleAtoi(parts.first, &code) &&
      code >= 1 && code <= last) {
    return {static_cast<absl::StatusCode>(code), parts.second};
  }
  return absl::InternalError(
      absl::StrCat(result.exit.signal != 0
                       ? absl::StrCat("killed by signal ", result.exit.signal)
                       : absl::StrCat("ended with code ", result.exit.code),
                   words.empty() ? "" : "; it said: ", words));
}

// The messages of sub-commands name their subject; one that was cut short has
// said nothing.
absl::Status NameWhenCut(const absl::Status& status,
                         absl::string_view subject) {
  return IsGivingUp(status) || absl::IsInternal(status)
             ? Annotate(status, subject)
             : status;
}

}  // namespace

absl::StatusOr<std::string> Helper::Run(const std::vector<std::string>& args,
                                        absl::Time deadline) const {
  CommandRequest request;
  request.spawn.argv = {program_};
  request.spawn.argv.insert(request.spawn.argv.end(), args.begin(), args.end());
  request.deadline = deadline;
  request.drain = absl::ZeroDuration();  // it has no children that print
  const absl::StatusOr<CommandResult> result = RunCommand(request);
  const std::string name =
      absl::StrCat("quoll-helper ", args.empty() ? "" : args[0]);
  if (!result.ok()) {
    return Annotate(result.status(), name);
  }
  if (result->exit.ShellCode() != 0) {
    const absl::Status failure = ParseFailure(*result);
    return absl::IsInternal(failure) ? Annotate(failure, name) : failure;
  }
  if (result->truncated) {
    return absl::InternalError(absl::StrCat(name, ": its answer is too long"));
  }
  return result->out;
}

absl::Status HelperMounter::Mount(const MountSpec& spec, absl::Time deadline) {
  return NameWhenCut(helper_
                         .Run({"mount", absl::StrCat("source=", spec.source),
                               absl::StrCat("target=", spec.target),
                               absl::StrCat("type=", spec.fstype),
                               absl::StrCat("flags=", spec.flags),
                               absl::StrCat("data=", spec.data)},
                              deadline)
                         .status(),
                     absl::StrCat("mount ", spec.source, " on ", spec.target));
}

absl::Status HelperMounter::MountOverlay(const OverlaySpec& spec,
                                         absl::Time deadline) {
  std::vector<std::string> args = {"overlay",
                                   absl::StrCat("target=", spec.target)};
  if (!spec.upper.empty()) {
    args.push_back(absl::StrCat("upper=", spec.upper));
    args.push_back(absl::StrCat("work=", spec.work));
  }
  for (const std::string& option : spec.options) {
    args.push_back(absl::StrCat("option=", option));
  }
  // The kernel wants the topmost layer first.
  for (auto layer = spec.lower.rbegin(); layer != spec.lower.rend(); ++layer) {
    args.push_back(absl::StrCat("lower=", *layer));
  }
  return NameWhenCut(helper_.Run(args, deadline).status(),
                     absl::StrCat("mount overlay on ", spec.target));
}

absl::Status HelperMounter::Unmount(const std::string& target, bool lazy,
                                    absl::Time deadline) {
  std::vector<std::string> args = {"unmount", absl::StrCat("target=", target)};
  if (lazy) {
    args.emplace_back("lazy");
  }
  return NameWhenCut(helper_.Run(args, deadline).status(),
                     absl::StrCat("unmount ", target));
}

absl::StatusOr<std::vector<std::string>> HelperMounter::ListUnder(
    const std::string& prefix) const {
  QUOLL_ASSIGN_OR_RETURN(const std::string text,
                         ReadFile("/proc/self/mountinfo", kMaxMountInfoBytes));
  std::vector<std::string> mount_points;
  for (MountInfo& info : ParseMountInfo(text)) {
    mount_points.push_back(std::move(info.mount_point));
  }
  return MountPointsUnder(std::move(mount_points), prefix);
}

absl::StatusOr<PinnedNamespaces> HelperHostActions::Pin(
    const PinRequest& request, absl::Time deadline) {
  const std::string subject = absl::StrCat("pin namespaces in ", request.dir);
  if (absl::Now() >= deadline) {
    return absl::DeadlineExceededError(
        absl::StrCat(subject, ": not begun, the deadline has passed"));
  }
  std::vector<std::string> args = {"pin", absl::StrCat("dir=", request.dir)};
  const std::pair<bool, const char*> kinds[] = {
      {request.net, "net"}, {request.ipc, "ipc"}, {request.uts, "uts"}};
  for (const auto& [wanted, kind] : kinds) {
    if (wanted) {
      args.emplace_back(kind);
    }
  }
  if (!request.hostname.empty()) {
    args.push_back(absl::StrCat("hostname=", request.hostname));
  }
  for (const auto& [name, value] : request.sysctls) {
    args.push_back(absl::StrCat("sysctl=", name, "=", value));
  }
  if (request.pid) {
    args.push_back(absl::StrCat("pause=", request.pause_program));
    for (const std::string& file : request.pause_cgroup_procs_files) {
      args.push_back(absl::StrCat("cgroup=", file));
    }
  }
  absl::StatusOr<std::string> answer = helper_.Run(args, deadline);
  PinnedNamespaces pinned;
  if (answer.ok() && request.pid) {
    const std::pair<absl::string_view, absl::string_view> numbers =
        absl::StrSplit(absl::StripAsciiWhitespace(*answer), ' ');
    if (!absl::SimpleAtoi(numbers.first, &pinned.pause.pid) ||
        !absl::SimpleAtoi(numbers.second, &pinned.pause.start_time_ticks)) {
      answer =
          absl::InternalError("quoll-helper pin: no process in its answer");
    }
  }
  if (answer.ok()) {
    return pinned;
  }
  absl::Status status = NameWhenCut(answer.status(), subject);
  // A run that ends by itself has undone what it did, one that was killed has
  // not. AlreadyExists are somebody's pins: not ours to remove.
  if (IsGivingUp(status) || absl::IsInternal(status)) {
    const auto undone =
        helper_.Run({"unpin", absl::StrCat("dir=", request.dir), "keep-dir"},
                    absl::Now() + kUndoTime);
    status = FirstError(std::move(status), undone.status());
  }
  return status;
}

absl::Status HelperHostActions::Unpin(const std::string& dir,
                                      absl::Time deadline) {
  return NameWhenCut(
      helper_.Run({"unpin", absl::StrCat("dir=", dir)}, deadline).status(),
      absl::StrCat("unpin namespaces in ", dir));
}

absl::StatusOr<HostActions::HostPath> HelperHostActions::ProbePath(
    const std::string& path, bool create_missing, absl::Time deadline) {
  std::vector<std::string> args = {"probe-path", absl::StrCat("path=", path)};
  if (create_missing) {
    args.emplace_back("create");
  }
  const absl::StatusOr<std::string> answer = helper_.Run(args, deadline);
  if (!answer.ok()) {
    return NameWhenCut(answer.status(), absl::StrCat("look at ", path));
  }
  // NUL after each field: a path may hold anything else.
  const std::vector<std::string> fields = absl::StrSplit(*answer, '\0');
  HostPath found;
  if (fields.size() != 6 || fields[0].empty() ||
      !absl::SimpleAtoi(fields[2], &found.device_major) ||
      !absl::SimpleAtoi(fields[3], &found.device_minor)) {
    return absl::InternalError(absl::StrCat(
        "look at ", path, ": quoll-helper probe-path gave no answer"));
  }
  found.resolved = fields[0];
  found.is_directory = fields[1] == "directory";
  found.is_block_device = fields[1] == "block";
  found.is_char_device = fields[1] == "char";
  found.created = fields[4] == "created";
  return found;
}

}  // namespace quoll::os
