// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <memory>

#include "image/unpack/error.h"
#include "image/unpack/input.h"

namespace quoll::unpack {

// Turns the stored bytes of a layer into its tar stream. Memory is bounded
// whatever the input says. Not thread-safe.
class Decoder {
 public:
  virtual ~Decoder() = default;
  // Up to `room` bytes; 0 of them only at the end of the stream. kDataLoss for
  // a stream that is broken or ends too early.
  virtual Error Read(char* out, size_t room, size_t* got) = 0;
};

// By the first bytes of `input`, which must outlive the decoder: gzip (RFC
// 1952, any number of members), zstd (RFC 8878, any number of frames), else
// plain. kInvalidArgument for a compression that layers do not use.
Error MakeDecoder(Input& input, std::unique_ptr<Decoder>* decoder);

}  // namespace quoll::unpack
