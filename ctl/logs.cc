// SPDX-License-Identifier: Apache-2.0
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"

#include "ctl/command.h"
#include "ctl/cri_log.h"
#include "ctl/print.h"
#include "ctl/resolve.h"
#include "os/status_macros.h"
#include "os/unique_fd.h"

namespace quoll::ctl {
namespace {

using RuntimeStub = criv1::RuntimeService::Stub;

struct Options {
  std::string word;
  bool follow = false;
  int tail = -1;
};

// How far back --tail looks in a file.
constexpr size_t kMaxTailBytes = 64u << 20;

// How often a container whose log is followed is asked whether it runs.
constexpr absl::Duration kAskEvery = absl::Seconds(1);

absl::Status PrintPieces(const std::vector<LogPiece>& pieces) {
  for (const LogPiece& piece : pieces) {
    QUOLL_RETURN_IF_ERROR(piece.to_stderr ? PrintToStderr(piece.text)
                                          : Print(piece.text));
  }
  return absl::OkStatus();
}

// Follows one container's log through rotations until the container ends.
class LogPrinter {
 public:
  LogPrinter(Client& client, std::string container, std::string path)
      : client_(client),
        container_(std::move(container)),
        path_(std::move(path)) {}

  absl::Status Open() {
    file_ = os::UniqueFd(open(path_.c_str(), O_RDONLY | O_CLOEXEC));
    return file_.valid()
               ? absl::OkStatus()
               : absl::ErrnoToStatus(errno, absl::StrCat("open log ", path_));
  }

  absl::Status SkipToTail(int lines) {
    struct stat info {};
    if (fstat(file_.get(), &info) != 0) {
      return absl::ErrnoToStatus(errno, absl::StrCat("stat log ", path_));
    }
    const auto size = static_cast<size_t>(info.st_size);
    const size_t begin = size > kMaxTailBytes ? size - kMaxTailBytes : 0;
    std::string text(size - begin, '\0');
    const ssize_t got =
        pread(file_.get(), text.data(), text.size(), static_cast<off_t>(begin));
    if (got < 0) {
      return absl::ErrnoToStatus(errno, absl::StrCat("read log ", path_));
    }
    text.resize(static_cast<size_t>(got));
    size_t offset = begin + TailOffset(text, lines);
    if (offset == begin && begin > 0) {
      // Somewhere within a line: on to the next one.
      offset += std::min(text.find('\n'), text.size() - 1) + 1;
    }
    if (lseek(file_.get(), static_cast<off_t>(offset), SEEK_SET) < 0) {
      return absl::ErrnoToStatus(errno, absl::StrCat("seek in log ", path_));
    }
    return absl::OkStatus();
  }

  // All that is in the file now.
  absl::Status Drain() {
    char buffer[64 << 10];
    while (true) {
      const ssize_t got = read(file_.get(), buffer, sizeof(buffer));
      if (got < 0 && errno == EINTR) {
        continue;
      }
      if (got < 0) {
        return absl::ErrnoToStatus(errno, absl::StrCat("read log ", path_));
      }
      if (got == 0) {
        return absl::OkStatus();
      }
      QUOLL_RETURN_IF_ERROR(
          PrintPieces(reader_.Feed({buffer, static_cast<size_t>(got)})));
    }
  }

  // Behind the last Drain().
  absl::Status Finish() { return PrintPieces(reader_.Finish()); }

  absl::Status Follow() {
    const os::UniqueFd watch(inotify_init1(IN_CLOEXEC | IN_NONBLOCK));
    const std::string directory = path_.substr(0, path_.rfind('/'));
    // The directory: a rotation makes a new file under the old name.
    if (!watch.valid() ||
        inotify_add_watch(watch.get(), directory.c_str(),
                          IN_MODIFY | IN_CREATE | IN_MOVED_TO) < 0) {
      return absl::ErrnoToStatus(errno, absl::StrCat("watch ", directory));
    }
    absl::Time ask = absl::InfinitePast();
    while (true) {
      bool runs = true;
      if (const absl::Time now = absl::Now(); now >= ask) {
        // Asked before the last reading, so that what the container has
        // written before its end is shown.
        QUOLL_ASSIGN_OR_RETURN(runs, StillRuns());
        ask = now + kAskEvery;
      }
      QUOLL_RETURN_IF_ERROR(Drain());
      QUOLL_RETURN_IF_ERROR(FollowRotation());
      if (!runs) {
        return Finish();
      }
      pollfd wait{watch.get(), POLLIN, 0};
      poll(&wait, 1, static_cast<int>(kAskEvery / absl::Milliseconds(1)));
      char events[4096];
      while (read(watch.get(), events, sizeof(events)) > 0) {
      }
    }
  }

 private:
  absl::StatusOr<bool> StillRuns() {
    criv1::ContainerStatusRequest request;
    request.set_container_id(container_);
    const auto status =
        client_.Call(client_.runtime(), &RuntimeStub::ContainerStatus, request);
    if (absl::IsNotFound(status.status())) {
      return false;  // removed
    }
    QUOLL_RETURN_IF_ERROR(status.status());
    return status->status().state() == criv1::CONTAINER_RUNNING;
  }

  // Goes over to the new file when the path has one.
  absl::Status FollowRotation() {
    struct stat now {};
    struct stat mine {};
    if (stat(path_.c_str(), &now) != 0 || fstat(file_.get(), &mine) != 0 ||
        (now.st_ino == mine.st_ino && now.st_dev == mine.st_dev)) {
      return absl::OkStatus();
    }
    QUOLL_RETURN_IF_ERROR(Drain());  // lines written between the two looks
    QUOLL_RETURN_IF_ERROR(Finish());
    QUOLL_RETURN_IF_ERROR(Open());
    return Drain();
  }

  Client& client_;
  const std::string container_;
  const std::string path_;
  os::UniqueFd file_;
  LogReader reader_;
};

absl::StatusOr<int> Logs(Context& context, const Options& options) {
  Client& client = context.client;
  QUOLL_ASSIGN_OR_RETURN(const Target target,
                         Resolve(client, options.word, Accept::kContainers));
  criv1::ContainerStatusRequest request;
  request.set_container_id(target.id);
  QUOLL_ASSIGN_OR_RETURN(
      const criv1::ContainerStatusResponse container,
      client.Call(client.runtime(), &RuntimeStub::ContainerStatus, request));
  const std::string& path = container.status().log_path();
  if (path.empty()) {
    return absl::FailedPreconditionError(
        absl::StrCat("container ", target.name, " keeps no log"));
  }
  LogPrinter printer(client, target.id, path);
  const absl::Status opened = printer.Open();
  if (absl::IsNotFound(opened) &&
      container.status().state() == criv1::CONTAINER_CREATED) {
    return absl::FailedPreconditionError(
        absl::StrCat("container ", target.name, " has not been started"));
  }
  QUOLL_RETURN_IF_ERROR(opened);
  if (options.tail >= 0) {
    QUOLL_RETURN_IF_ERROR(printer.SkipToTail(options.tail));
  }
  if (options.follow) {
    QUOLL_RETURN_IF_ERROR(printer.Follow());
  } else {
    QUOLL_RETURN_IF_ERROR(printer.Drain());
    QUOLL_RETURN_IF_ERROR(printer.Finish());
  }
  return kExitOk;
}

}  // namespace

void AddLogs(CLI::App& app, Work& chosen) {
  CLI::App* command =
      app.add_subcommand("logs", "what a container has written");
  auto options = std::make_shared<Options>();
  command->add_option("CONTAINER", options->word, "id, prefix or name")
      ->required();
  command->add_flag("-f,--follow", options->follow, "and what it will write");
  command->add_option("--tail", options->tail, "only the last lines")
      ->check(CLI::Range(0, 1 << 30));
  command->callback([options, &chosen] {
    chosen = [options](Context& context) { return Logs(context, *options); };
  });
}

}  // namespace quoll::ctl
