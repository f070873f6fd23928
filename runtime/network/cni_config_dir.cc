// SPDX-License-Identifier: Apache-2.0
#include "runtime/network/cni_config_dir.h"

#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/clock.h"

#include "os/annotate.h"
#include "os/files.h"
#include "os/status_macros.h"
#include "os/unique_fd.h"
#include "spdlog/spdlog.h"

namespace quoll::runtime {
namespace {

constexpr size_t kMaxConfigBytes = 1u << 20;

// Not IN_MODIFY: a file that is being written is looked at when its writer has
// closed it. IN_CREATE is for links, which nobody closes.
constexpr uint32_t kWatchMask = IN_CLOSE_WRITE | IN_MOVED_TO | IN_MOVED_FROM |
                                IN_DELETE | IN_CREATE | IN_DELETE_SELF |
                                IN_MOVE_SELF | IN_ONLYDIR;

// How soon a directory that was taken away is made and watched again.
constexpr absl::Duration kRewatchDelay = absl::Seconds(5);

bool IsConfigName(absl::string_view name) {
  return absl::EndsWith(name, ".conflist") || absl::EndsWith(name, ".conf") ||
         absl::EndsWith(name, ".json");
}

absl::StatusOr<CniNetwork> LoadFile(const std::string& path) {
  // Opening a FIFO or a device could block, or worse.
  struct stat info {};
  if (stat(path.c_str(), &info) != 0) {
    return absl::ErrnoToStatus(errno, "stat");
  }
  if (!S_ISREG(info.st_mode)) {
    return absl::InvalidArgumentError("it is no regular file");
  }
  QUOLL_ASSIGN_OR_RETURN(const std::string text,
                         os::ReadFile(path, kMaxConfigBytes));
  return absl::EndsWith(path, ".conflist") ? ParseCniConfList(text)
                                           : ParseCniConf(text);
}

}  // namespace

absl::StatusOr<CniNetwork> LoadCniNetwork(
    const std::string& dir,
    const std::function<void(const std::string& path, const absl::Status& why)>&
        skipped) {
  const absl::StatusOr<std::vector<std::string>> names = os::ListDirectory(dir);
  if (!names.ok()) {
    return absl::FailedPreconditionError(absl::StrCat(
        "CNI configuration directory ", dir, ": ", names.status().message()));
  }
  std::vector<std::string> mistakes;
  for (const std::string& name : *names) {
    if (!IsConfigName(name)) {
      continue;
    }
    const std::string path = absl::StrCat(dir, "/", name);
    absl::StatusOr<CniNetwork> network = LoadFile(path);
    if (network.ok()) {
      return network;
    }
    if (skipped) {
      skipped(path, network.status());
    }
    mistakes.push_back(absl::StrCat(name, ": ", network.status().message()));
  }
  if (mistakes.empty()) {
    return absl::FailedPreconditionError(absl::StrCat(
        "no CNI configuration in ", dir,
        "; a network add-on puts one there, or write a .conflist by hand"));
  }
  return absl::InvalidArgumentError(
      absl::StrCat("no usable CNI configuration in ", dir, ": ",
                   absl::StrJoin(mistakes, "; ")));
}

struct CniConfigDir::State : std::enable_shared_from_this<State> {
  State(std::string directory, os::EventLoop& event_loop)
      : dir(std::move(directory)), loop(event_loop) {}

  const std::string dir;
  os::EventLoop& loop;
  os::UniqueFd inotify;
  os::EventLoop::Token token = 0;

  mutable absl::Mutex mu;
  absl::StatusOr<std::shared_ptr<const CniNetwork>> current
      ABSL_GUARDED_BY(mu) = absl::FailedPreconditionError("not read yet");
  bool closed ABSL_GUARDED_BY(mu) = false;

  absl::Status Watch();
  void Rewatch();
  void Reload();
  void OnReadable();
};

absl::Status CniConfigDir::State::Watch() {
  QUOLL_RETURN_IF_ERROR(os::Annotate(os::MakeDirectories(dir, 0755),
                                     "CNI configuration directory"));
  if (inotify_add_watch(inotify.get(), dir.c_str(), kWatchMask) < 0) {
    return absl::ErrnoToStatus(
        errno, absl::StrCat("CNI configuration directory ", dir, ": watch"));
  }
  return absl::OkStatus();
}

// On the event loop. The directory was removed or moved away, by an add-on that
// is being reinstalled, say: comes back until it can be watched again.
void CniConfigDir::State::Rewatch() {
  {
    absl::MutexLock lock(&mu);
    if (closed) {
      return;
    }
  }
  if (const absl::Status status = Watch(); !status.ok()) {
    spdlog::warn("{}; trying again in {}", status.ToString(),
                 absl::FormatDuration(kRewatchDelay));
    loop.PostAt(absl::Now() + kRewatchDelay, [weak = weak_from_this()] {
      if (const auto self = weak.lock()) {
        self->Rewatch();
      }
    });
  }
  Reload();
}

void CniConfigDir::State::Reload() {
  absl::StatusOr<CniNetwork> loaded =
      LoadCniNetwork(dir, [](const std::string& path, const absl::Status& why) {
        spdlog::warn("CNI configuration {} is skipped: {}", path,
                     std::string(why.message()));
      });
  absl::StatusOr<std::shared_ptr<const CniNetwork>> next;  // an error so far
  if (loaded.ok()) {
    next = std::make_shared<const CniNetwork>(*std::move(loaded));
  } else {
    next = loaded.status();
  }
  absl::MutexLock lock(&mu);
  const bool was_ok = current.ok();
  const bool changed =
      next.ok() ? !was_ok || (*current)->conflist_json != (*next)->conflist_json
                : was_ok || current.status() != next.status();
  current = std::move(next);
  if (!changed) {
    return;
  }
  if (current.ok()) {
    spdlog::info("CNI network {} (CNI {}, {} plugins) is in use",
                 (*current)->name, (*current)->cni_version,
                 (*current)->plugins.size());
  } else {
    spdlog::warn("network is not ready: {}",
                 std::string(current.status().message()));
  }
}

void CniConfigDir::State::OnReadable() {
  alignas(inotify_event) std::array<char, 4096> buffer;
  bool watch_lost = false;
  for (;;) {
    const ssize_t got = read(inotify.get(), buffer.data(), buffer.size());
    if (got < 0 && errno == EINTR) {
      continue;
    }
    if (got <= 0) {
      break;  // EAGAIN: everything is read
    }
    for (ssize_t at = 0; at < got;) {
      const auto* event =
          reinterpret_cast<const inotify_event*>(buffer.data() + at);
      // The kernel has dropped the watch, or it follows a directory that has
      // another name now.
      if ((event->mask & IN_MOVE_SELF) != 0) {
        inotify_rm_watch(inotify.get(), event->wd);
      }
      watch_lost |= (event->mask & IN_IGNORED) != 0;
      at += static_cast<ssize_t>(sizeof(inotify_event) + event->len);
    }
  }
  // Which file it was does not matter, and neither does an overflow of the
  // queue: the whole directory is read again.
  if (watch_lost) {
    Rewatch();
  } else {
    Reload();
  }
}

absl::StatusOr<std::unique_ptr<CniConfigDir>> CniConfigDir::Create(
    std::string dir, os::EventLoop& loop) {
  auto state = std::make_shared<State>(std::move(dir), loop);
  state->inotify = os::UniqueFd(inotify_init1(IN_CLOEXEC | IN_NONBLOCK));
  if (!state->inotify.valid()) {
    return absl::ErrnoToStatus(errno,
                               "CNI configuration directory: inotify_init1");
  }
  QUOLL_RETURN_IF_ERROR(state->Watch());
  // Read after the watch is set: a change in between is seen twice, not never.
  state->Reload();
  QUOLL_ASSIGN_OR_RETURN(state->token, loop.Add(state->inotify.get(), EPOLLIN,
                                                [raw = state.get()](uint32_t) {
                                                  raw->OnReadable();
                                                }));
  return std::unique_ptr<CniConfigDir>(new CniConfigDir(std::move(state)));
}

CniConfigDir::CniConfigDir(std::shared_ptr<State> state)
    : state_(std::move(state)) {}

CniConfigDir::~CniConfigDir() {
  state_->loop.Remove(state_->token);
  absl::MutexLock lock(&state_->mu);
  state_->closed = true;
}

absl::StatusOr<std::shared_ptr<const CniNetwork>> CniConfigDir::Current()
    const {
  absl::MutexLock lock(&state_->mu);
  return state_->current;
}

}  // namespace quoll::runtime
