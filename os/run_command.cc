// SPDX-License-Identifier: Apache-2.0
// RunCommand of os/process.h.
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <array>

#include "absl/base/thread_annotations.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"

#include "os/annotate.h"
#include "os/files.h"
#include "os/poll_timeout.h"
#include "os/process.h"
#include "os/status_macros.h"

namespace quoll::os {
namespace {

// How long a process may take to die of SIGKILL before it is left behind: it
// then hangs in the kernel, on a dead server say, and may do so for ever.
constexpr absl::Duration kDeathGrace = absl::Seconds(1);

// Children that did not die when they were killed. They have to be reaped some
// day, but a thread that waits for them is not worth its stack: each later
// command reaps those that have ended meanwhile. At exit init inherits the
// rest. Thread-safe.
class Orphans {
 public:
  static Orphans& Get() {
    // Never destroyed: commands may still end while static objects go away.
    static Orphans& orphans = *new Orphans;
    return orphans;
  }

  void Add(Pidfd child) {
    const absl::MutexLock lock(&mutex_);
    children_.push_back(std::move(child));
  }

  void ReapEnded() {
    const absl::MutexLock lock(&mutex_);  // WNOHANG: nothing below waits
    children_.erase(std::remove_if(children_.begin(), children_.end(),
                                   [](const Pidfd& child) {
                                     return !absl::IsFailedPrecondition(
                                         child.Reap().status());
                                   }),
                    children_.end());
  }

 private:
  absl::Mutex mutex_;
  std::vector<Pidfd> children_ ABSL_GUARDED_BY(mutex_);
};

// The input as a file in memory: other than a pipe it never has to be fed, so
// a child that does not read cannot block us nor raise SIGPIPE.
absl::StatusOr<UniqueFd> InputFile(const std::string& input) {
  UniqueFd fd(::memfd_create("stdin", MFD_CLOEXEC));
  if (!fd.valid()) {
    return absl::ErrnoToStatus(errno, "memfd_create");
  }
  QUOLL_RETURN_IF_ERROR(WriteAll(fd.get(), input));
  if (::lseek(fd.get(), 0, SEEK_SET) != 0) {
    return absl::ErrnoToStatus(errno, "rewind the input");
  }
  return fd;
}

// The reading end of one output stream and what came through it.
class Capture {
 public:
  // The child's end is returned.
  absl::StatusOr<UniqueFd> Open() {
    int ends[2];
    if (::pipe2(ends, O_CLOEXEC) != 0) {
      return absl::ErrnoToStatus(errno, "pipe");
    }
    read_end_ = UniqueFd(ends[0]);
    UniqueFd write_end(ends[1]);
    // Only ours: the flag belongs to the open file, each end is its own.
    if (::fcntl(ends[0], F_SETFL, O_NONBLOCK) != 0) {
      return absl::ErrnoToStatus(errno, "make a pipe non-blocking");
    }
    return write_end;
  }

  bool open() const { return read_end_.valid(); }
  int fd() const { return read_end_.get(); }

  // Takes what is there, at most `limit` bytes in all; the rest is dropped so
  // that the child can go on.
  void Read(size_t limit) {
    // A child that writes without end must not keep us from the deadline.
    constexpr int kReadsPerTurn = 16;
    std::array<char, 16 << 10> buffer;
    for (int i = 0; i < kReadsPerTurn; ++i) {
      const ssize_t n = ::read(fd(), buffer.data(), buffer.size());
      if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
        return;
      }
      if (n <= 0) {  // the end; an error on a pipe cannot be waited out either
        read_end_ = UniqueFd();
        return;
      }
      const size_t take =
          std::min(static_cast<size_t>(n), limit - text_.size());
      text_.append(buffer.data(), take);
      truncated_ = truncated_ || take < static_cast<size_t>(n);
    }
  }

  std::string TakeText() { return std::move(text_); }
  bool truncated() const { return truncated_; }

 private:
  UniqueFd read_end_;
  std::string text_;
  bool truncated_ = false;
};

// One run: collects output until the child has ended and both streams have.
class Run {
 public:
  explicit Run(const CommandRequest& request) : request_(request) {}

  absl::Status Start() {
    SpawnRequest spawn = request_.spawn;
    spawn.new_session = true;
    UniqueFd input;
    if (!request_.input.empty()) {
      QUOLL_ASSIGN_OR_RETURN(input, InputFile(request_.input));
      spawn.fds.emplace_back(input.get(), STDIN_FILENO);
    }
    QUOLL_ASSIGN_OR_RETURN(const UniqueFd out, out_.Open());
    QUOLL_ASSIGN_OR_RETURN(const UniqueFd err, err_.Open());
    spawn.fds.emplace_back(out.get(), STDOUT_FILENO);
    spawn.fds.emplace_back(err.get(), STDERR_FILENO);
    QUOLL_ASSIGN_OR_RETURN(child_, Spawn(spawn));
    return absl::OkStatus();
  }

  absl::StatusOr<CommandResult> Finish() {
    absl::Time until = request_.deadline;
    bool ended = false;
    while (!ended || out_.open() || err_.open()) {
      const absl::StatusOr<bool> in_time = Turn(until, ended);
      if (!in_time.ok()) {
        return Abandon(in_time.status());
      }
      if (cancelled_ && !ended) {
        return Abandon(absl::CancelledError("cancelled, killed"));
      }
      if (!*in_time && !ended) {
        return Abandon(absl::DeadlineExceededError(
            "not finished at its deadline, killed"));
      }
      if (!*in_time) {
        break;  // somebody it started holds the pipes
      }
      if (!ended && child_.HasExited()) {
        ended = true;
        until = std::min(until, absl::Now() + request_.drain);
      }
    }
    // What an exiting child wrote last is in the pipes by now.
    ReadBoth();
    CommandResult result;
    QUOLL_ASSIGN_OR_RETURN(result.exit, child_.Reap());
    result.out = out_.TakeText();
    result.err = err_.TakeText();
    result.truncated = out_.truncated() || err_.truncated();
    return result;
  }

 private:
  // Waits for one event and handles it. False when `until` has passed.
  absl::StatusOr<bool> Turn(absl::Time until, bool ended) {
    // poll(2) skips negative descriptors.
    std::array<pollfd, 4> events = {
        {{out_.fd(), POLLIN, 0},
         {err_.fd(), POLLIN, 0},
         {ended ? -1 : child_.fd(), POLLIN, 0},
         {ended ? -1 : request_.cancel_fd, POLLIN, 0}}};
    const int n = ::poll(events.data(), events.size(), PollTimeoutMs(until));
    if (n < 0 && errno != EINTR) {
      return absl::ErrnoToStatus(errno, "poll");
    }
    if (n > 0) {
      ReadBoth();
      cancelled_ = events[3].revents != 0;
    }
    return n > 0 || absl::Now() < until;
  }

  void ReadBoth() {
    for (Capture* stream : {&out_, &err_}) {
      if (stream->open()) {
        stream->Read(request_.max_output_bytes);
      }
    }
  }

  // Kills everything, and leaves behind what does not die.
  absl::Status Abandon(const absl::Status& reason) {
    // The group's number cannot have been reused: its leader, our child, is not
    // reaped yet.
    const bool signalled =
        ::kill(-child_.identity().pid, SIGKILL) == 0 || errno == ESRCH;
    const int error = errno;
    (void)child_.Signal(SIGKILL);
    if (child_.AwaitExit(absl::Now() + kDeathGrace).ok()) {
      ReadBoth();
      (void)child_.Reap();
    } else {
      Orphans::Get().Add(std::move(child_));
    }
    absl::Status status = reason;
    if (!signalled) {
      status = FirstError(status, absl::ErrnoToStatus(error, "kill its group"));
    }
    const std::string words = err_.TakeText();
    return words.empty() ? status
                         : absl::Status(status.code(),
                                        absl::StrCat(status.message(),
                                                     "; it had said: ", words));
  }

  const CommandRequest& request_;
  Capture out_;
  Capture err_;
  Pidfd child_;
  bool cancelled_ = false;
};

}  // namespace

absl::StatusOr<CommandResult> RunCommand(const CommandRequest& request) {
  Orphans::Get().ReapEnded();
  const std::string name =
      request.spawn.argv.empty() ? "command" : request.spawn.argv[0];
  for (const auto& [source, target] : request.spawn.fds) {
    const bool input_taken = target == STDIN_FILENO && request.input.empty();
    if (target <= STDERR_FILENO && !input_taken) {
      return absl::InvalidArgumentError(absl::StrCat(
          name, ": descriptor ", target, " is the command runner's own"));
    }
  }
  if (absl::Now() >= request.deadline) {
    return absl::DeadlineExceededError(
        absl::StrCat(name, ": not started, its deadline has passed"));
  }
  Run run(request);
  QUOLL_RETURN_IF_ERROR(run.Start());
  absl::StatusOr<CommandResult> result = run.Finish();
  if (!result.ok()) {
    return Annotate(result.status(), name);
  }
  return result;
}

}  // namespace quoll::os
