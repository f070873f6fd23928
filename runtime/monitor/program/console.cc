// SPDX-License-Identifier: Apache-2.0
#include "runtime/monitor/program/console.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "runtime/monitor/program/files.h"
#include "runtime/monitor/protocol.h"

namespace quoll::runtime::monitor {
namespace {

constexpr int kTimeoutMs = 1000;

bool WaitReadable(int fd) {
  pollfd entry = {fd, POLLIN, 0};
  int ready;
  do {
    ready = poll(&entry, 1, kTimeoutMs);
  } while (ready < 0 && errno == EINTR);
  return ready > 0;
}

// The first descriptor that comes with a message; others are closed.
int ReceiveFd(int socket_fd) {
  char data[256];  // the runtime sends a name along
  alignas(cmsghdr) char control[CMSG_SPACE(4 * sizeof(int))];
  iovec part = {data, sizeof(data)};
  msghdr message = {};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = control;
  message.msg_controllen = sizeof(control);
  if (recvmsg(socket_fd, &message, MSG_CMSG_CLOEXEC) < 0) {
    return -errno;
  }
  int received = -EBADMSG;
  for (cmsghdr* header = CMSG_FIRSTHDR(&message); header != nullptr;
       header = CMSG_NXTHDR(&message, header)) {
    if (header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS) {
      continue;
    }
    const size_t count = (header->cmsg_len - CMSG_LEN(0)) / sizeof(int);
    for (size_t i = 0; i < count; ++i) {
      int fd;
      memcpy(&fd, CMSG_DATA(header) + i * sizeof(int), sizeof(fd));
      if (received < 0) {
        received = fd;
      } else {
        close(fd);
      }
    }
  }
  return received;
}

}  // namespace

int ListenForConsole() {
  int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd < 0) {
    return -errno;
  }
  sockaddr_un address = {};
  address.sun_family = AF_UNIX;
  memcpy(address.sun_path, kConsoleSocket, sizeof(kConsoleSocket));
  unlink(kConsoleSocket);
  if (bind(fd, reinterpret_cast<sockaddr*>(&address), sizeof(address)) != 0 ||
      listen(fd, 1) != 0) {
    const int error = -errno;
    CloseFd(&fd);
    return error;
  }
  return fd;
}

int ReceiveConsole(int listen_fd) {
  int result = -ETIMEDOUT;
  if (WaitReadable(listen_fd)) {
    int connection = accept4(listen_fd, nullptr, nullptr, SOCK_CLOEXEC);
    if (connection < 0) {
      result = -errno;
    } else if (WaitReadable(connection)) {
      result = ReceiveFd(connection);
    }
    CloseFd(&connection);
  }
  unlink(kConsoleSocket);
  if (result >= 0 && !SetNonBlocking(result)) {
    const int error = -errno;
    close(result);
    return error;
  }
  return result;
}

}  // namespace quoll::runtime::monitor
