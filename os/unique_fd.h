// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "absl/status/status.h"

namespace quoll::os {

// Owns one open file descriptor. Move-only; an empty value is legal.
class UniqueFd {
 public:
  UniqueFd() = default;
  explicit UniqueFd(int fd) : fd_(fd) {}
  UniqueFd(const UniqueFd&) = delete;
  UniqueFd& operator=(const UniqueFd&) = delete;
  UniqueFd(UniqueFd&& other) noexcept : fd_(other.Release()) {}
  UniqueFd& operator=(UniqueFd&& other) noexcept;
  ~UniqueFd();

  int get() const { return fd_; }
  bool valid() const { return fd_ >= 0; }

  // Gives the descriptor up; the caller must now close it.
  [[nodiscard]] int Release() {
    const int fd = fd_;
    fd_ = -1;
    return fd;
  }

  // Closes now and reports what the destructor would have to swallow (a
  // deferred write error of NFS, say). OK when empty.
  absl::Status Close();

 private:
  int fd_ = -1;
};

}  // namespace quoll::os
