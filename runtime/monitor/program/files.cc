// SPDX-License-Identifier: Apache-2.0
#include "runtime/monitor/program/files.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "runtime/monitor/program/text.h"

namespace quoll::runtime::monitor {

ssize_t ReadToEnd(int fd, char* buffer, size_t size) {
  size_t used = 0;
  while (used < size) {
    const ssize_t got = read(fd, buffer + used, size - used);
    if (got < 0) {
      if (errno == EINTR) {
        continue;
      }
      return -errno;
    }
    if (got == 0) {
      buffer[used] = '\0';
      return static_cast<ssize_t>(used);
    }
    used += static_cast<size_t>(got);
  }
  return -EFBIG;
}

ssize_t ReadFile(int dir_fd, const char* path, char* buffer, size_t size) {
  int fd = openat(dir_fd, path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
  if (fd < 0) {
    return -errno;
  }
  const ssize_t length = ReadToEnd(fd, buffer, size);
  CloseFd(&fd);
  return length;
}

int WriteAll(int fd, const void* data, size_t size) {
  const char* at = static_cast<const char*>(data);
  while (size > 0) {
    const ssize_t done = write(fd, at, size);
    if (done < 0) {
      if (errno == EINTR) {
        continue;
      }
      return -errno;
    }
    at += done;
    size -= static_cast<size_t>(done);
  }
  return 0;
}

int WriteControl(int dir_fd, const char* path, const char* text) {
  int fd = openat(dir_fd, path, O_WRONLY | O_CLOEXEC);
  if (fd < 0) {
    return -errno;
  }
  const ssize_t done = write(fd, text, strlen(text));
  const int error = done < 0 ? -errno : 0;
  CloseFd(&fd);
  return error;
}

int ReplaceFile(const char* name, const char* text, size_t size) {
  Text<128> temporary;
  temporary.Add(name).Add(".tmp");
  if (!temporary.ok()) {
    return -ENAMETOOLONG;
  }
  // Not truncated before: the exit record's temporary was allocated at launch
  // so that a full tmpfs cannot keep it from being written.
  int fd = open(temporary.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
  if (fd < 0) {
    return -errno;
  }
  int error = WriteAll(fd, text, size);
  if (error == 0 && ftruncate(fd, static_cast<off_t>(size)) != 0) {
    error = -errno;
  }
  CloseFd(&fd);
  if (error == 0 && rename(temporary.c_str(), name) != 0) {
    error = -errno;
  }
  return error;
}

void CloseFd(int* fd) {
  if (*fd >= 0) {
    close(*fd);
    *fd = -1;
  }
}

bool SetNonBlocking(int fd) {
  const int flags = fcntl(fd, F_GETFL);
  return flags >= 0 && fcntl(fd, F_SETFL, flags | O_NONBLOCK) == 0;
}

}  // namespace quoll::runtime::monitor
