// SPDX-License-Identifier: Apache-2.0
#include "os/unique_fd.h"

#include <errno.h>
#include <unistd.h>

#include "absl/strings/str_cat.h"

#include "spdlog/spdlog.h"

namespace quoll::os {

UniqueFd& UniqueFd::operator=(UniqueFd&& other) noexcept {
  if (this != &other) {
    const UniqueFd old(Release());
    fd_ = other.Release();
  }
  return *this;
}

UniqueFd::~UniqueFd() {
  // Most callers destroy while they hand an errno upwards.
  const int saved_errno = errno;
  const absl::Status status = Close();
  if (!status.ok()) {
    spdlog::warn("descriptor closed by its destructor: {}",
                 std::string(status.message()));
  }
  errno = saved_errno;
}

absl::Status UniqueFd::Close() {
  if (fd_ < 0) {
    return absl::OkStatus();
  }
  const int fd = Release();
  // Linux frees the number whatever close(2) returns, so it is never repeated:
  // the number may already be another thread's.
  if (::close(fd) == 0 || errno == EINTR) {
    return absl::OkStatus();
  }
  return absl::ErrnoToStatus(errno, absl::StrCat("close descriptor ", fd));
}

}  // namespace quoll::os
