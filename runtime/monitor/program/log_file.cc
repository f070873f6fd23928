// SPDX-License-Identifier: Apache-2.0
#include "runtime/monitor/program/log_file.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "runtime/monitor/program/files.h"

namespace quoll::runtime::monitor {
namespace {

const char* ErrorWord(int error) {
  switch (error) {
    case ENOSPC:
      return "no space left on device";
    case EDQUOT:
      return "disk quota exceeded";
    case EIO:
      return "input/output error";
    case EFBIG:
      return "file too large";
    default:
      return "write error";
  }
}

}  // namespace

int LogFile::Reopen() {
  if (path_[0] == '\0') {
    return 0;
  }
  // O_NONBLOCK: a FIFO without a reader is refused at once instead of holding
  // the container up; it has no effect on regular files.
  int fd = open(
      path_, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY | O_NONBLOCK,
      0640);
  if (fd < 0) {
    return -errno;
  }
  struct stat info;
  if (fstat(fd, &info) != 0 ||
      (!S_ISREG(info.st_mode) && !S_ISCHR(info.st_mode))) {
    CloseFd(&fd);
    return -EINVAL;
  }
  CloseFd(&fd_);
  fd_ = fd;
  torn_ = false;
  return 0;
}

void LogFile::Write(iovec* parts, int count, size_t bytes) {
  if (fd_ < 0) {
    return;
  }
  if (dropped_bytes_ > 0 && !WriteMarker()) {
    dropped_bytes_ += bytes;
    return;
  }
  if (!WriteAllParts(parts, count, bytes)) {
    dropped_bytes_ += bytes;
  }
}

bool LogFile::WriteMarker() {
  timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  Text<192> line;
  line.Add(FormatTimestamp(now).c_str()).Add(" stderr F [quoll: ");
  line.AddNumber(dropped_bytes_).Add(" bytes of the log were dropped: ");
  line.Add(ErrorWord(dropped_error_)).Add("]\n");
  iovec part = {line.data(), line.size()};
  if (!WriteAllParts(&part, 1, line.size())) {
    return false;
  }
  dropped_bytes_ = 0;
  return true;
}

bool LogFile::WriteAllParts(iovec* parts, int count, size_t bytes) {
  if (torn_) {
    if (write(fd_, "\n", 1) != 1) {
      dropped_error_ = errno;
      return false;
    }
    torn_ = false;
  }
  size_t written = 0;
  while (written < bytes) {
    ssize_t done = writev(fd_, parts, count);
    if (done <= 0) {
      if (done < 0 && errno == EINTR) {
        continue;
      }
      dropped_error_ = done < 0 ? errno : EIO;
      break;
    }
    written += static_cast<size_t>(done);
    while (count > 0 && static_cast<size_t>(done) >= parts->iov_len) {
      done -= static_cast<ssize_t>(parts->iov_len);
      ++parts;
      --count;
    }
    if (count > 0) {
      parts->iov_base = static_cast<char*>(parts->iov_base) + done;
      parts->iov_len -= static_cast<size_t>(done);
    }
  }
  if (written == bytes) {
    return true;
  }
  if (written > 0) {
    struct stat info;
    torn_ = fstat(fd_, &info) != 0 || !S_ISREG(info.st_mode) ||
            info.st_size < static_cast<off_t>(written) ||
            ftruncate(fd_, info.st_size - static_cast<off_t>(written)) != 0;
  }
  return false;
}

}  // namespace quoll::runtime::monitor
