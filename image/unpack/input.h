// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "image/unpack/error.h"

namespace quoll::unpack {

// The layer's bytes as they come from the writer. End of file alone does not
// say whether the writer has finished or has died, so the writer says it on a
// second descriptor: after the last byte it sends "end COUNT\n", COUNT being
// the number of bytes. Without it the end is an error (kCancelled).
// Not thread-safe; blocks while the writer has nothing to say.
class Input {
 public:
  // Borrows both. `trailer_fd` -1: end of file is the end (by hand, in tests).
  Input(int fd, int trailer_fd);

  // Bytes that are not consumed yet, at least `wanted` of them (at most 64 KiB)
  // unless the stream ends before.
  Error Peek(size_t wanted, std::string_view* bytes);
  void Consume(size_t count);

  uint64_t consumed() const { return consumed_; }

 private:
  Error CheckTrailer() const;

  const int fd_;
  const int trailer_fd_;
  std::vector<char> buffer_;
  size_t begin_ = 0;
  size_t end_ = 0;
  bool at_end_ = false;
  uint64_t consumed_ = 0;
};

}  // namespace quoll::unpack
