// SPDX-License-Identifier: Apache-2.0
#include "runtime/monitor/monitor_channel.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"

#include "os/annotate.h"
#include "os/status_macros.h"

namespace quoll::runtime {
namespace {

using monitor::Header;
using monitor::kMaxMessage;

// Waits until `fd` can be read or written.
absl::Status Await(int fd, short events, absl::Time deadline) {
  for (;;) {
    const absl::Duration left = deadline - absl::Now();
    int timeout_ms = -1;
    if (left != absl::InfiniteDuration()) {
      // Up, so that the last wait does not spin.
      timeout_ms = static_cast<int>(std::clamp<int64_t>(
          absl::ToInt64Milliseconds(left) + 1, 0, int64_t{60} * 60 * 1000));
    }
    pollfd entry = {fd, events, 0};
    const int ready =
        left <= absl::ZeroDuration() ? 0 : ::poll(&entry, 1, timeout_ms);
    if (ready > 0) {
      return absl::OkStatus();
    }
    if (ready < 0 && errno != EINTR) {
      return absl::ErrnoToStatus(errno, "poll");
    }
    if (absl::Now() >= deadline) {
      return absl::DeadlineExceededError("quoll-monitor does not answer");
    }
  }
}

// sun_path has 108 bytes and a bundle's path may be longer, so the socket is
// named through a descriptor of its directory.
absl::StatusOr<os::UniqueFd> Connect(const std::string& bundle,
                                     absl::Time deadline) {
  const os::UniqueFd directory(
      ::open(bundle.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (!directory.valid()) {
    return absl::ErrnoToStatus(errno, bundle);
  }
  sockaddr_un address = {};
  address.sun_family = AF_UNIX;
  const std::string path = absl::StrCat("/proc/self/fd/", directory.get(), "/",
                                        monitor::kSocketFile);
  path.copy(address.sun_path, sizeof(address.sun_path) - 1);
  // SOCK_NONBLOCK: with a full backlog connect(2) would wait for a monitor that
  // may be stopped; EAGAIN says so instead.
  os::UniqueFd socket(
      ::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!socket.valid()) {
    return absl::ErrnoToStatus(errno, "socket");
  }
  while (::connect(socket.get(), reinterpret_cast<sockaddr*>(&address),
                   sizeof(address)) != 0) {
    const int error = errno;
    if (error == ENOENT || error == ECONNREFUSED) {
      return absl::NotFoundError(absl::StrCat(bundle, "/", monitor::kSocketFile,
                                              ": no monitor listens"));
    }
    if (error != EAGAIN && error != EINTR) {
      return absl::ErrnoToStatus(
          error, absl::StrCat(bundle, "/", monitor::kSocketFile));
    }
    if (absl::Now() >= deadline) {
      return absl::DeadlineExceededError("quoll-monitor does not answer");
    }
    // Nothing to poll for: the kernel wakes only blocking connects.
    absl::SleepFor(absl::Milliseconds(5));
  }
  return socket;
}

}  // namespace

absl::StatusOr<MonitorMessage> ParseMessage(const std::string& bytes) {
  Header header;
  if (bytes.size() < sizeof(header)) {
    return absl::DataLossError("quoll-monitor: message too short");
  }
  bytes.copy(reinterpret_cast<char*>(&header), sizeof(header));
  if (!monitor::IsValid(header, bytes.size())) {
    return absl::DataLossError(
        "quoll-monitor: message is malformed or of an unknown version");
  }
  return MonitorMessage{header.type, bytes.substr(sizeof(header))};
}

absl::StatusOr<MonitorMessage> ReadReport(int pipe_fd, absl::Time deadline) {
  // It comes in one write of at most PIPE_BUF, which a pipe keeps together.
  char buffer[kMaxMessage];
  QUOLL_RETURN_IF_ERROR(Await(pipe_fd, POLLIN, deadline));
  ssize_t size;
  do {
    size = ::read(pipe_fd, buffer, sizeof(buffer));
  } while (size < 0 && errno == EINTR);
  if (size < 0) {
    return absl::ErrnoToStatus(errno, "read from quoll-monitor");
  }
  if (size == 0) {
    return absl::UnavailableError("quoll-monitor ended without a report");
  }
  return ParseMessage(std::string(buffer, static_cast<size_t>(size)));
}

absl::StatusOr<MonitorMessage> Ask(const std::string& bundle,
                                   monitor::MessageType type,
                                   absl::Time deadline) {
  QUOLL_ASSIGN_OR_RETURN(const os::UniqueFd socket, Connect(bundle, deadline));
  Header header;
  header.type = type;
  QUOLL_RETURN_IF_ERROR(Await(socket.get(), POLLOUT, deadline));
  if (::send(socket.get(), &header, sizeof(header), MSG_NOSIGNAL) !=
      static_cast<ssize_t>(sizeof(header))) {
    return absl::ErrnoToStatus(errno, "send to quoll-monitor");
  }
  QUOLL_RETURN_IF_ERROR(Await(socket.get(), POLLIN, deadline));
  char buffer[kMaxMessage];
  const ssize_t size = ::recv(socket.get(), buffer, sizeof(buffer), MSG_TRUNC);
  if (size < 0 && errno != ECONNRESET) {
    return absl::ErrnoToStatus(errno, "receive from quoll-monitor");
  }
  if (size <= 0) {
    return absl::UnavailableError("quoll-monitor hung up");
  }
  return ParseMessage(
      std::string(buffer, std::min(static_cast<size_t>(size), sizeof(buffer))));
}

absl::StatusOr<PipeEnds> MakePipe() {
  int fds[2];
  if (::pipe2(fds, O_CLOEXEC) != 0) {
    return absl::ErrnoToStatus(errno, "pipe");
  }
  return PipeEnds{os::UniqueFd(fds[0]), os::UniqueFd(fds[1])};
}

}  // namespace quoll::runtime
