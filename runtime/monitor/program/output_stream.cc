// SPDX-License-Identifier: Apache-2.0
#include "runtime/monitor/program/output_stream.h"

#include <errno.h>
#include <unistd.h>

#include "runtime/monitor/program/child.h"
#include "runtime/monitor/program/files.h"

namespace quoll::runtime::monitor {
namespace {

// Half of a pipe: the writer goes on while this half is formatted. One for all
// streams, since only one is read at a time.
char read_buffer[32 * 1024];

Timestamp Now() {
  timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  return FormatTimestamp(now);
}

}  // namespace

void OutputStream::ReadOnce(LogSink& sink) {
  const ssize_t got = read(fd_, read_buffer, sizeof(read_buffer));
  if (got < 0 && (errno == EAGAIN || errno == EINTR)) {
    return;
  }
  // EIO is how a terminal says that its last user has gone.
  if (got <= 0) {
    Finish(sink);
    return;
  }
  formatter_.Feed(read_buffer, static_cast<size_t>(got), Now(), sink);
  flush_at_ms_ = formatter_.has_partial() ? NowMs() + kPartialMs : -1;
}

void OutputStream::Finish(LogSink& sink) {
  formatter_.Finish(Now(), sink);
  flush_at_ms_ = -1;
  CloseFd(&fd_);
}

void OutputStream::FlushIfDue(int64_t now_ms, LogSink& sink) {
  if (flush_at_ms_ >= 0 && now_ms >= flush_at_ms_) {
    formatter_.FlushPartial(Now(), sink);
    flush_at_ms_ = -1;
  }
}

}  // namespace quoll::runtime::monitor
