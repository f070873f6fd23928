// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <string_view>

#include "image/unpack/error.h"

namespace quoll::unpack {

// A stream of bytes that is read once, front to back. May block.
class ByteSource {
 public:
  virtual ~ByteSource() = default;
  // The next bytes: at least one and at most `max`, valid until the next call;
  // none at the end of the stream.
  virtual Error Next(size_t max, std::string_view* chunk) = 0;
};

}  // namespace quoll::unpack
