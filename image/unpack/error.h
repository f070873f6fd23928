// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>
#include <utility>

namespace quoll::unpack {

// Numbers of absl::StatusCode, which this program must not link: the daemon
// turns "CODE message" on stderr back into an absl::Status.
enum class Code {
  kOk = 0,
  kCancelled = 1,
  kInvalidArgument = 3,
  kPermissionDenied = 7,
  kResourceExhausted = 8,
  kFailedPrecondition = 9,
  kInternal = 13,
  kUnavailable = 14,
  kDataLoss = 15,
};

// The outcome of a step. A value; the message is empty when it is OK.
class [[nodiscard]] Error {
 public:
  Error() = default;
  Error(Code code, std::string message)
      : code_(code), message_(std::move(message)) {}

  // "what: No space left on device", with the code that fits `error`.
  static Error FromErrno(int error, const std::string& what);

  bool ok() const { return code_ == Code::kOk; }
  Code code() const { return code_; }
  const std::string& message() const { return message_; }

 private:
  Code code_ = Code::kOk;
  std::string message_;
};

// A name from the archive, fit for a log: in quotes, what is not printable
// ASCII escaped, at most some 200 characters.
std::string Quoted(std::string_view name);

}  // namespace quoll::unpack

// Returns from the enclosing function when `expr` is an error.
#define QUOLL_RETURN_IF_ERROR(expr)                                         \
  do {                                                                      \
    if (::quoll::unpack::Error quoll_error_ = (expr); !quoll_error_.ok()) { \
      return quoll_error_;                                                  \
    }                                                                       \
  } while (false)
