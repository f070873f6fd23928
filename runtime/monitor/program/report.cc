// SPDX-License-Identifier: Apache-2.0
#include "runtime/monitor/program/report.h"

#include <poll.h>
#include <string.h>
#include <unistd.h>

namespace quoll::runtime::monitor {

bool SendMessage(int fd, MessageType type, const void* fixed, size_t fixed_size,
                 const char* text, size_t text_size) {
  char message[kMaxMessage];
  if (text_size > kMaxPayload - fixed_size) {
    text_size = kMaxPayload - fixed_size;
  }
  Header header;
  header.type = type;
  header.length = static_cast<uint32_t>(fixed_size + text_size);
  memcpy(message, &header, sizeof(header));
  if (fixed_size > 0) {
    memcpy(message + sizeof(header), fixed, fixed_size);
  }
  if (text_size > 0) {
    memcpy(message + sizeof(header) + fixed_size, text, text_size);
  }
  // At most PIPE_BUF, so a pipe takes it whole or not at all. SIGPIPE is
  // blocked (BecomeReaper()).
  const ssize_t size = static_cast<ssize_t>(sizeof(header) + header.length);
  return write(fd, message, static_cast<size_t>(size)) == size;
}

bool IsReaderGone(int fd) {
  pollfd entry = {fd, 0, 0};  // POLLERR is always reported
  return poll(&entry, 1, 0) > 0 && (entry.revents & POLLERR) != 0;
}

}  // namespace quoll::runtime::monitor
