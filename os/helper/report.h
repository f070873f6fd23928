// SPDX-License-Identifier: Apache-2.0
#pragma once

// How the program ends when it cannot do what it was asked: one line
// "CODE message" on standard error and exit code 1.
namespace quoll::helper {

// The numbers of absl::StatusCode, which this program does not link.
enum Code {
  kCancelled = 1,
  kUnknown = 2,
  kInvalidArgument = 3,
  kDeadlineExceeded = 4,
  kNotFound = 5,
  kAlreadyExists = 6,
  kPermissionDenied = 7,
  kResourceExhausted = 8,
  kFailedPrecondition = 9,
  kAborted = 10,
  kOutOfRange = 11,
  kUnimplemented = 12,
  kInternal = 13,
  kUnavailable = 14,
};

// As absl::ErrnoToStatusCode(): the daemon must not see which of the two has
// translated an errno.
Code CodeOfErrno(int error);

// Called once by the functions below before they end the program.
void SetUndo(void (*undo)());

[[noreturn]] __attribute__((format(printf, 2, 3))) void Fail(Code code,
                                                             const char* format,
                                                             ...);
// "message: words of the errno", with the code of the errno.
[[noreturn]] __attribute__((format(printf, 2, 3))) void FailErrno(
    int error, const char* format, ...);

}  // namespace quoll::helper
