// SPDX-License-Identifier: Apache-2.0
#include "os/helper/report.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

namespace quoll::helper {
namespace {

// Paths in messages may be long; the rest of such a line is of no use.
constexpr size_t kMaxLine = 16 << 10;

void (*undo_action)() = nullptr;

[[noreturn]] void End(Code code, const char* message) {
  if (undo_action != nullptr) {
    void (*const undo)() = undo_action;
    undo_action = nullptr;  // an undo that fails ends here too
    undo();
  }
  static char line[kMaxLine];
  int length = snprintf(line, sizeof(line) - 1, "%d %s", code, message);
  if (length >= static_cast<int>(sizeof(line)) - 1) {
    length = sizeof(line) - 2;
  }
  for (int i = 0; i < length; ++i) {  // one line, whatever a path contains
    const auto c = static_cast<unsigned char>(line[i]);
    if (c < 0x20 || c == 0x7F) {
      line[i] = '?';
    }
  }
  line[length] = '\n';
  // Nobody is left to tell when this fails; the exit code is still seen.
  [[maybe_unused]] const ssize_t written =
      write(STDERR_FILENO, line, static_cast<size_t>(length) + 1);
  _exit(1);
}

}  // namespace

// A table. NOLINTNEXTLINE(readability-function-size)
Code CodeOfErrno(int error) {
  switch (error) {
    case ECANCELED:
      return kCancelled;
    case E2BIG:
    case EFAULT:
    case EINVAL:
    case ENOTTY:
    case ESPIPE:
    case EDOM:
    case ENAMETOOLONG:
    case ENOSTR:
    case EILSEQ:
    case ENOTSOCK:
    case EDESTADDRREQ:
    case EPROTOTYPE:
    case ENOPROTOOPT:
      return kInvalidArgument;
    case ETIME:
    case ETIMEDOUT:
      return kDeadlineExceeded;
    case ENOENT:
    case ESRCH:
    case ENXIO:
    case ENODEV:
    case ENOMEDIUM:
      return kNotFound;
    case EEXIST:
    case ENOTUNIQ:
    case EADDRNOTAVAIL:
    case EALREADY:
      return kAlreadyExists;
    case EPERM:
    case EACCES:
    case EROFS:
    case ENOKEY:
      return kPermissionDenied;
    case ENOMEM:
    case ENFILE:
    case EMFILE:
    case ENOSPC:
    case EMLINK:
    case ENODATA:
    case ENOSR:
    case EUSERS:
    case ENOBUFS:
    case EDQUOT:
      return kResourceExhausted;
    case EBADF:
    case ECHILD:
    case ENOTBLK:
    case EBUSY:
    case ENOTDIR:
    case EISDIR:
    case ETXTBSY:
    case EPIPE:
    case ENOTEMPTY:
    case EUNATCH:
    case EBADFD:
    case EADDRINUSE:
    case EISCONN:
    case ENOTCONN:
    case ESHUTDOWN:
    case EISNAM:
      return kFailedPrecondition;
    case EDEADLK:
    case ESTALE:
      return kAborted;
    case EFBIG:
    case ERANGE:
    case ECHRNG:
    case EOVERFLOW:
      return kOutOfRange;
    case EXDEV:
    case ENOSYS:
    case ENOPKG:
    case EPROTONOSUPPORT:
    case ESOCKTNOSUPPORT:
    case EOPNOTSUPP:
    case EPFNOSUPPORT:
    case EAFNOSUPPORT:
      return kUnimplemented;
    case EINTR:
    case EAGAIN:
    case ENOLCK:
    case ENONET:
    case ENOLINK:
    case ECOMM:
    case ENETDOWN:
    case ENETUNREACH:
    case ENETRESET:
    case ECONNABORTED:
    case ECONNRESET:
    case ECONNREFUSED:
    case EHOSTDOWN:
    case EHOSTUNREACH:
      return kUnavailable;
    default:
      return kUnknown;
  }
}

void SetUndo(void (*undo)()) {
  undo_action = undo;
}

void Fail(Code code, const char* format, ...) {
  static char message[kMaxLine];
  va_list arguments;
  va_start(arguments, format);
  // The checker does not see va_start. NOLINTNEXTLINE(clang-analyzer-valist*)
  vsnprintf(message, sizeof(message), format, arguments);
  va_end(arguments);
  End(code, message);
}

void FailErrno(int error, const char* format, ...) {
  static char message[kMaxLine];
  va_list arguments;
  va_start(arguments, format);
  // NOLINTNEXTLINE(clang-analyzer-valist*)
  const int length = vsnprintf(message, sizeof(message), format, arguments);
  va_end(arguments);
  if (length >= 0 && length < static_cast<int>(sizeof(message))) {
    snprintf(message + length, sizeof(message) - static_cast<size_t>(length),
             ": %s", strerror(error));
  }
  End(CodeOfErrno(error), message);
}

}  // namespace quoll::helper
