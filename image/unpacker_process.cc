// SPDX-License-Identifier: Apache-2.0
#include "image/unpacker_process.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"

#include "os/annotate.h"
#include "os/poll_timeout.h"
#include "os/status_macros.h"

namespace quoll::image {
namespace {

constexpr int kTrailerFd = 3;
constexpr size_t kMaxReport = 16 << 10;
// A caller that can change its mind is asked this often.
constexpr absl::Duration kCancelInterval = absl::Milliseconds(50);
// From the moment that the process hangs up to its end.
constexpr absl::Duration kEndTime = absl::Seconds(10);

struct FdPair {
  os::UniqueFd ours;
  os::UniqueFd theirs;
};

absl::StatusOr<FdPair> MakeSocketPair() {
  int fds[2];
  if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) != 0) {
    return absl::ErrnoToStatus(errno, "socketpair");
  }
  return FdPair{os::UniqueFd(fds[0]), os::UniqueFd(fds[1])};
}

// What the process prints fits into the pipe, so it never waits for us.
absl::StatusOr<FdPair> MakeReportPipe() {
  int fds[2];
  if (::pipe2(fds, O_CLOEXEC) != 0) {
    return absl::ErrnoToStatus(errno, "pipe2");
  }
  FdPair pair = {os::UniqueFd(fds[0]), os::UniqueFd(fds[1])};
  if (::fcntl(fds[0], F_SETFL, O_NONBLOCK) != 0) {
    return absl::ErrnoToStatus(errno, "fcntl");
  }
  return pair;
}

std::string ReadReport(int fd) {
  std::string report(kMaxReport, '\0');
  size_t size = 0;
  while (size < report.size()) {
    const ssize_t got = ::read(fd, &report[size], report.size() - size);
    if (got < 0 && errno == EINTR) {
      continue;
    }
    if (got <= 0) {
      break;
    }
    size += static_cast<size_t>(got);
  }
  report.resize(size);
  return report;
}

}  // namespace

absl::StatusOr<std::unique_ptr<UnpackerProcess>> UnpackerProcess::Start(
    const Options& options) {
  QUOLL_ASSIGN_OR_RETURN(FdPair data, MakeSocketPair());
  QUOLL_ASSIGN_OR_RETURN(FdPair trailer, MakeSocketPair());
  QUOLL_ASSIGN_OR_RETURN(FdPair out, MakeReportPipe());
  QUOLL_ASSIGN_OR_RETURN(FdPair err, MakeReportPipe());
  os::SpawnRequest request;
  request.argv = {options.program, absl::StrCat("--trailer-fd=", kTrailerFd),
                  absl::StrCat("--max-bytes=", options.max_bytes),
                  absl::StrCat("--max-entries=", options.max_entries),
                  options.directory};
  request.fds = {{data.theirs.get(), STDIN_FILENO},
                 {out.theirs.get(), STDOUT_FILENO},
                 {err.theirs.get(), STDERR_FILENO},
                 {trailer.theirs.get(), kTrailerFd}};
  request.new_session = true;
  absl::StatusOr<os::Pidfd> process = os::Spawn(request);
  if (!process.ok()) {
    return os::Annotate(process.status(), "start quoll-unpack");
  }
  // Not make_unique: the constructor is private.
  std::unique_ptr<UnpackerProcess> result(
      new UnpackerProcess(options.stall_limit));
  result->process_ = *std::move(process);
  result->data_ = std::move(data.ours);
  result->trailer_ = std::move(trailer.ours);
  result->out_ = std::move(out.ours);
  result->err_ = std::move(err.ours);
  return result;
}

UnpackerProcess::~UnpackerProcess() {
  Stop(absl::ZeroDuration());
}

// Until `fd` is ready, the caller gives up, or nothing has happened for too
// long.
absl::Status UnpackerProcess::AwaitReady(int fd, short events,
                                         const os::Call& call) const {
  const absl::Time stalled = absl::Now() + stall_limit_;
  while (true) {
    if (call.IsCancelled()) {
      return absl::CancelledError("unpack layer: the caller has gone");
    }
    const absl::Time now = absl::Now();
    if (now >= call.deadline) {
      return absl::DeadlineExceededError("unpack layer: not done in time");
    }
    if (now >= stalled) {
      return absl::UnavailableError(absl::StrCat(
          "unpack layer: no progress for ", absl::FormatDuration(stall_limit_),
          "; see whether the disk under the image store hangs"));
    }
    absl::Time until = std::min(call.deadline, stalled);
    if (call.cancelled) {
      until = std::min(until, now + kCancelInterval);
    }
    pollfd event = {fd, events, 0};
    const int n = ::poll(&event, 1, os::PollTimeoutMs(until));
    if (n > 0) {
      return absl::OkStatus();
    }
    if (n < 0 && errno != EINTR) {
      return absl::ErrnoToStatus(errno, "unpack layer: poll");
    }
  }
}

absl::Status UnpackerProcess::Write(absl::string_view chunk,
                                    const os::Call& call) {
  if (error_.ok()) {
    error_ = WriteAll(chunk, call);
  }
  return error_;
}

absl::Status UnpackerProcess::WriteAll(absl::string_view chunk,
                                       const os::Call& call) {
  while (!chunk.empty()) {
    const ssize_t put = ::send(data_.get(), chunk.data(), chunk.size(),
                               MSG_DONTWAIT | MSG_NOSIGNAL);
    if (put >= 0) {
      written_ += static_cast<uint64_t>(put);
      chunk.remove_prefix(static_cast<size_t>(put));
    } else if (errno == EAGAIN) {
      QUOLL_RETURN_IF_ERROR(AwaitReady(data_.get(), POLLOUT, call));
    } else if (errno == EPIPE || errno == ECONNRESET) {
      // It ended before the layer did; its last words say why.
      absl::Status ended = process_.AwaitExit(call.DeadlineWithin(kEndTime));
      QUOLL_RETURN_IF_ERROR(ended);
      QUOLL_ASSIGN_OR_RETURN(const os::ExitStatus exit, process_.Reap());
      reaped_ = true;
      return Failure(exit);
    } else if (errno != EINTR) {
      return absl::ErrnoToStatus(errno, "unpack layer: write to quoll-unpack");
    }
  }
  return absl::OkStatus();
}

absl::StatusOr<LayerFacts> UnpackerProcess::Finish(const os::Call& call) {
  QUOLL_RETURN_IF_ERROR(error_);
  absl::StatusOr<LayerFacts> facts = Conclude(call);
  error_ = facts.ok() ? absl::FailedPreconditionError("layer is finished")
                      : facts.status();
  return facts;
}

absl::StatusOr<LayerFacts> UnpackerProcess::Conclude(const os::Call& call) {
  const std::string trailer = absl::StrCat("end ", written_, "\n");
  data_ = os::UniqueFd();
  // A few bytes into an empty socket; when the process has gone, its exit says
  // more than this send could.
  const ssize_t put = ::send(trailer_.get(), trailer.data(), trailer.size(),
                             MSG_DONTWAIT | MSG_NOSIGNAL);
  if (put < 0 && errno != EPIPE && errno != ECONNRESET) {
    return absl::ErrnoToStatus(errno, "unpack layer: finish the stream");
  }
  trailer_ = os::UniqueFd();
  QUOLL_RETURN_IF_ERROR(AwaitReady(process_.fd(), POLLIN, call));
  QUOLL_ASSIGN_OR_RETURN(const os::ExitStatus exit, process_.Reap());
  reaped_ = true;
  if (exit.ShellCode() != 0) {
    return Failure(exit);
  }
  return ParseLayerFacts(ReadReport(out_.get()));
}

absl::Status UnpackerProcess::Failure(const os::ExitStatus& exit) const {
  const std::string report = ReadReport(err_.get());
  const absl::string_view message =
      absl::string_view(report).substr(0, report.find('\n'));
  const size_t blank = message.find(' ');
  int code = 0;
  if (exit.signal == 0 && blank != absl::string_view::npos &&
      absl::SimpleAtoi(message.substr(0, blank), &code) && code > 0 &&
      code <= static_cast<int>(absl::StatusCode::kUnauthenticated)) {
    return absl::Status(
        static_cast<absl::StatusCode>(code),
        absl::StrCat("unpack layer: ", message.substr(blank + 1)));
  }
  return absl::InternalError(absl::StrCat(
      "unpack layer: quoll-unpack ",
      exit.signal != 0 ? absl::StrCat("was killed by signal ", exit.signal)
                       : absl::StrCat("exited with ", exit.code),
      message.empty() ? "" : ": ", message));
}

bool UnpackerProcess::Stop(absl::Duration patience) {
  if (reaped_) {
    return true;
  }
  // The only error is that it has gone already.
  process_.Signal(SIGKILL).IgnoreError();
  if (!process_.AwaitExit(absl::Now() + patience).ok()) {
    return false;
  }
  reaped_ = process_.Reap().ok();
  return reaped_;
}

}  // namespace quoll::image
