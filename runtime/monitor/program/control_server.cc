// SPDX-License-Identifier: Apache-2.0
#include "runtime/monitor/program/control_server.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "runtime/monitor/program/files.h"
#include "runtime/monitor/program/report.h"

namespace quoll::runtime::monitor {

int ControlServer::Listen() {
  int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd < 0) {
    return -errno;
  }
  sockaddr_un address = {};
  address.sun_family = AF_UNIX;
  static_assert(sizeof(kSocketFile) <= sizeof(address.sun_path));
  memcpy(address.sun_path, kSocketFile, sizeof(kSocketFile));
  unlink(kSocketFile);
  const mode_t before = umask(0177);
  const bool bound =
      bind(fd, reinterpret_cast<sockaddr*>(&address), sizeof(address)) == 0 &&
      listen(fd, kMaxConnections) == 0;
  const int error = bound ? 0 : -errno;
  umask(before);
  if (!bound) {
    CloseFd(&fd);
  }
  listen_fd_ = fd;
  return error;
}

int ControlServer::AddPollFds(pollfd* fds) const {
  int count = 0;
  fds[count++] = {listen_fd_, POLLIN, 0};
  for (const int fd : connections_) {
    if (fd >= 0) {
      fds[count++] = {fd, POLLIN, 0};
    }
  }
  return count;
}

void ControlServer::Serve(const pollfd* fds, int count) {
  for (int i = 0; i < count; ++i) {
    if (fds[i].revents == 0) {
      continue;
    }
    if (fds[i].fd == listen_fd_) {
      Accept();
      continue;
    }
    for (int& connection : connections_) {
      if (connection == fds[i].fd && !ServeOne(connection)) {
        CloseFd(&connection);
      }
    }
  }
}

void ControlServer::Accept() {
  int fd = accept4(listen_fd_, nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK);
  if (fd < 0) {
    return;
  }
  for (int& connection : connections_) {
    if (connection < 0) {
      connection = fd;
      return;
    }
  }
  CloseFd(&fd);  // the peer sees its connection end and tries again
}

bool ControlServer::ServeOne(int fd) {
  char message[kMaxMessage];
  const ssize_t size = recv(fd, message, sizeof(message), MSG_TRUNC);
  if (size < 0) {
    return errno == EAGAIN || errno == EINTR;
  }
  Header header;
  if (size < static_cast<ssize_t>(sizeof(header))) {
    return false;
  }
  memcpy(&header, message, sizeof(header));
  if (!IsValid(header, static_cast<uint64_t>(size))) {
    return false;
  }
  Reply reply;
  switch (header.type) {
    case MessageType::kReopenLog:
      reply.error = handler_.ReopenLog();
      break;
    default:
      reply.error = EOPNOTSUPP;
      break;
  }
  return SendMessage(fd, MessageType::kReply, &reply, sizeof(reply), nullptr,
                     0);
}

}  // namespace quoll::runtime::monitor
