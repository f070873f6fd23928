// SPDX-License-Identifier: Apache-2.0
#include "runtime/monitor/program/oom_watch.h"

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "runtime/monitor/program/cgroup.h"

namespace quoll::runtime::monitor {

void OomWatch::Open(pid_t init) {
  PathText path;
  if (FindContainerCgroup(init, "memory", &path)) {
    path.Add("/memory.oom_control");
  } else if (FindContainerCgroup(init, "", &path)) {
    path.Add("/memory.events");
  } else {
    return;
  }
  fd_ = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  ReadCount(&before_);
}

bool OomWatch::HasKilled() const {
  uint64_t count = 0;
  return ReadCount(&count) && count > before_;
}

bool OomWatch::ReadCount(uint64_t* count) const {
  char buffer[512];
  // pread at 0 makes kernfs produce the text anew.
  const ssize_t size = fd_ < 0 ? -1 : pread(fd_, buffer, sizeof(buffer) - 1, 0);
  if (size <= 0) {
    return false;
  }
  buffer[size] = '\0';
  for (char* line = buffer; line != nullptr && *line != '\0';) {
    char* const end = strchr(line, '\n');
    constexpr char kKey[] = "oom_kill ";
    constexpr size_t kKeySize = sizeof(kKey) - 1;
    if (end != nullptr && strncmp(line, kKey, kKeySize) == 0) {
      return ParseNumber(line + kKeySize, end, count);
    }
    line = end == nullptr ? nullptr : end + 1;
  }
  return false;
}

}  // namespace quoll::runtime::monitor
