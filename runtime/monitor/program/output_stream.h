// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <stdint.h>

#include "runtime/monitor/program/log_formatter.h"

namespace quoll::runtime::monitor {

// One of the container's outputs on its way into the log: the read end of a
// pipe, or the master of its terminal.
class OutputStream {
 public:
  // `name` is "stdout" or "stderr".
  explicit OutputStream(const char* name) : formatter_(name) {}

  // Takes a non-blocking descriptor over.
  void SetFd(int fd) { fd_ = fd; }
  int fd() const { return fd_; }  // -1 after the end of the stream

  // Reads what is there, once, and logs it. At the end of the stream the open
  // line is closed and the descriptor too.
  void ReadOnce(LogSink& sink);
  // The end, whether or not writers are left.
  void Finish(LogSink& sink);

  // When (NowMs()) the start of a line, kept for the rest of it, is to be
  // logged after all; -1 when nothing is kept.
  int64_t flush_at_ms() const { return flush_at_ms_; }
  void FlushIfDue(int64_t now_ms, LogSink& sink);

 private:
  // How long an unfinished line may wait in memory: prompts show up in the
  // log, and a monitor that is killed takes at most this much with it.
  static constexpr int64_t kPartialMs = 1000;

  int fd_ = -1;
  int64_t flush_at_ms_ = -1;
  LogFormatter formatter_;
};

}  // namespace quoll::runtime::monitor
