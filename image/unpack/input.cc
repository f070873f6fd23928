// SPDX-License-Identifier: Apache-2.0
#include "image/unpack/input.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include <string>

namespace quoll::unpack {
namespace {

constexpr size_t kBufferBytes = 256 << 10;

ssize_t ReadRetrying(int fd, char* to, size_t room) {
  ssize_t got;
  do {
    got = read(fd, to, room);
  } while (got < 0 && errno == EINTR);
  return got;
}

}  // namespace

Input::Input(int fd, int trailer_fd)
    : fd_(fd), trailer_fd_(trailer_fd), buffer_(kBufferBytes) {}

Error Input::Peek(size_t wanted, std::string_view* bytes) {
  while (end_ - begin_ < wanted && !at_end_) {
    if (begin_ != 0) {
      memmove(buffer_.data(), buffer_.data() + begin_, end_ - begin_);
      end_ -= begin_;
      begin_ = 0;
    }
    const ssize_t got =
        ReadRetrying(fd_, buffer_.data() + end_, buffer_.size() - end_);
    // ECONNRESET: a socket whose writer died with our bytes unread.
    if (got < 0 && errno != ECONNRESET) {
      return Error::FromErrno(errno, "read the layer");
    }
    if (got <= 0) {
      at_end_ = true;
      QUOLL_RETURN_IF_ERROR(CheckTrailer());
    } else {
      end_ += static_cast<size_t>(got);
    }
  }
  *bytes = std::string_view(buffer_.data() + begin_, end_ - begin_);
  return {};
}

void Input::Consume(size_t count) {
  begin_ += count;
  consumed_ += count;
}

Error Input::CheckTrailer() const {
  if (trailer_fd_ < 0) {
    return {};
  }
  const std::string wanted =
      "end " + std::to_string(consumed_ + (end_ - begin_)) + "\n";
  std::string trailer;
  char buffer[64];
  while (trailer.size() <= wanted.size()) {
    const ssize_t got = ReadRetrying(trailer_fd_, buffer, sizeof(buffer));
    if (got <= 0) {
      break;
    }
    trailer.append(buffer, static_cast<size_t>(got));
  }
  if (trailer == wanted) {
    return {};
  }
  return Error(Code::kCancelled,
               trailer.empty()
                   ? "the writer of the layer went away before its end"
                   : "the writer announced " + Quoted(trailer) + " but sent " +
                         Quoted(wanted));
}

}  // namespace quoll::unpack
