// SPDX-License-Identifier: Apache-2.0
#include "image/unpack/decoder.h"

#include <string.h>
#include <zstd.h>

#include <algorithm>
#include <cstdint>
#include <string>

#include <isa-l/igzip_lib.h>

namespace quoll::unpack {
namespace {

bool StartsWith(std::string_view bytes, std::string_view magic) {
  return bytes.substr(0, magic.size()) == magic;
}

class PlainDecoder : public Decoder {
 public:
  explicit PlainDecoder(Input& input) : input_(input) {}

  Error Read(char* out, size_t room, size_t* got) override {
    std::string_view bytes;
    QUOLL_RETURN_IF_ERROR(input_.Peek(1, &bytes));
    *got = std::min(room, bytes.size());
    memcpy(out, bytes.data(), *got);
    input_.Consume(*got);
    return {};
  }

 private:
  Input& input_;
};

// ISA-L, because it inflates about four times as fast as zlib.
class GzipDecoder : public Decoder {
 public:
  explicit GzipDecoder(Input& input) : input_(input) { StartMember(); }

  Error Read(char* out, size_t room, size_t* got) override {
    state_.next_out = reinterpret_cast<uint8_t*>(out);
    state_.avail_out = static_cast<uint32_t>(room);
    while (state_.avail_out == room && !at_end_) {
      QUOLL_RETURN_IF_ERROR(Step());
    }
    *got = room - state_.avail_out;
    return {};
  }

 private:
  void StartMember() {
    uint8_t* const next_out = state_.next_out;
    const uint32_t avail_out = state_.avail_out;
    isal_inflate_init(&state_);
    state_.crc_flag = ISAL_GZIP;  // parse the header, check CRC and length
    state_.next_out = next_out;
    state_.avail_out = avail_out;
  }

  // One call of the inflater, or the passage to the next member.
  Error Step() {
    if (state_.block_state == ISAL_BLOCK_FINISH) {
      return NextMember();
    }
    std::string_view bytes;
    QUOLL_RETURN_IF_ERROR(input_.Peek(1, &bytes));
    const uint32_t room = state_.avail_out;
    state_.next_in =
        reinterpret_cast<uint8_t*>(const_cast<char*>(bytes.data()));
    state_.avail_in = static_cast<uint32_t>(bytes.size());
    const int result = isal_inflate(&state_);
    const size_t eaten = bytes.size() - state_.avail_in;
    input_.Consume(eaten);
    if (result < 0 || result > ISAL_OUT_OVERFLOW) {
      return Error(Code::kDataLoss, Describe(result));
    }
    const bool stuck = eaten == 0 && state_.avail_out == room &&
                       state_.block_state != ISAL_BLOCK_FINISH;
    if (!stuck) {
      return {};
    }
    return Error(Code::kDataLoss, bytes.empty()
                                      ? "gzip stream ends too early"
                                      : "gzip stream makes no progress");
  }

  // After a member come: another one, zero padding (as gzip(1) accepts it), or
  // the end. Anything else would be content that other tools may not see.
  Error NextMember() {
    std::string_view bytes;
    QUOLL_RETURN_IF_ERROR(input_.Peek(2, &bytes));
    if (StartsWith(bytes, "\x1f\x8b")) {
      StartMember();
      return {};
    }
    while (!bytes.empty()) {
      if (bytes.find_first_not_of('\0') != bytes.npos) {
        return Error(Code::kDataLoss, "garbage after the gzip stream");
      }
      input_.Consume(bytes.size());
      QUOLL_RETURN_IF_ERROR(input_.Peek(1, &bytes));
    }
    at_end_ = true;
    return {};
  }

  static std::string Describe(int result) {
    switch (result) {
      case ISAL_INVALID_WRAPPER:
        return "gzip stream: invalid header";
      case ISAL_UNSUPPORTED_METHOD:
        return "gzip stream: unknown compression method";
      case ISAL_INCORRECT_CHECKSUM:
        return "gzip stream: wrong checksum";
      default:
        return "gzip stream: invalid data (" + std::to_string(result) + ")";
    }
  }

  Input& input_;
  inflate_state state_ = {};
  bool at_end_ = false;
};

class ZstdDecoder : public Decoder {
 public:
  explicit ZstdDecoder(Input& input)
      : input_(input), context_(ZSTD_createDCtx(), ZSTD_freeDCtx) {}

  Error Read(char* out, size_t room, size_t* got) override {
    if (context_ == nullptr) {
      return Error(Code::kResourceExhausted, "zstd: out of memory");
    }
    ZSTD_outBuffer to = {out, room, 0};
    while (to.pos == 0) {
      std::string_view bytes;
      QUOLL_RETURN_IF_ERROR(input_.Peek(1, &bytes));
      if (bytes.empty() && between_frames_) {
        break;
      }
      ZSTD_inBuffer from = {bytes.data(), bytes.size(), 0};
      // The window is at most 128 MiB (ZSTD_WINDOWLOG_LIMIT_DEFAULT); frames
      // that ask for more are refused here.
      const size_t left = ZSTD_decompressStream(context_.get(), &to, &from);
      input_.Consume(from.pos);
      if (ZSTD_isError(left)) {
        return Error(Code::kDataLoss,
                     std::string("zstd stream: ") + ZSTD_getErrorName(left));
      }
      between_frames_ = left == 0;
      if (bytes.empty() && to.pos == 0 && !between_frames_) {
        return Error(Code::kDataLoss, "zstd stream ends too early");
      }
    }
    *got = to.pos;
    return {};
  }

 private:
  Input& input_;
  std::unique_ptr<ZSTD_DCtx, size_t (*)(ZSTD_DCtx*)> context_;
  bool between_frames_ = true;
};

bool IsZstd(std::string_view bytes) {
  // A frame, or a skippable frame (as "zstd:chunked" has them).
  return StartsWith(bytes, "\x28\xb5\x2f\xfd") ||
         (bytes.size() >= 4 && (bytes[0] & 0xf0) == 0x50 &&
          bytes.substr(1, 3) == "\x2a\x4d\x18");
}

}  // namespace

Error MakeDecoder(Input& input, std::unique_ptr<Decoder>* decoder) {
  std::string_view bytes;
  QUOLL_RETURN_IF_ERROR(input.Peek(6, &bytes));
  if (StartsWith(bytes, "\x1f\x8b")) {
    *decoder = std::make_unique<GzipDecoder>(input);
  } else if (IsZstd(bytes)) {
    *decoder = std::make_unique<ZstdDecoder>(input);
  } else if (StartsWith(bytes, "BZh") ||
             StartsWith(bytes, std::string_view("\xfd\x37zXZ\0", 6))) {
    return Error(Code::kInvalidArgument,
                 "layer is compressed by bzip2 or xz; layers are gzip, zstd or "
                 "plain tar");
  } else {
    *decoder = std::make_unique<PlainDecoder>(input);
  }
  return {};
}

}  // namespace quoll::unpack
