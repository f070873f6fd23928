// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sys/uio.h>
#include <time.h>

#include <cstddef>

#include "runtime/monitor/program/text.h"

namespace quoll::runtime::monitor {

// Where formatted lines go: whole lines, one gather list per call.
class LogSink {
 public:
  // `bytes` is the sum of all parts.
  virtual void Write(iovec* parts, int count, size_t bytes) = 0;

 protected:
  ~LogSink() = default;
};

// RFC3339Nano in UTC, always nine digits: "2026-11-23T08:55:16.000000001Z".
using Timestamp = Text<32>;
Timestamp FormatTimestamp(const timespec& time);

// Turns one output stream of a container into lines of the CRI log:
//
//   <time> <stdout|stderr> <P|F> <content>\n
//
// A line of more than kMaxContent bytes is split: all parts but the last are
// marked P. Bytes are passed on as they are. The start of a line whose newline
// has not come yet is kept; the owner flushes it when nothing follows for a
// while (as P, so that a reader joins the rest to it) and at the end of the
// stream (as F: a reader must not wait for more).
//
// Nothing is allocated and content is not copied, but for the unfinished line.
class LogFormatter {
 public:
  static constexpr size_t kMaxContent = 16 * 1024;

  // `stream` is "stdout" or "stderr".
  explicit LogFormatter(const char* stream) : stream_(stream) {}

  void Feed(const char* data, size_t size, const Timestamp& time,
            LogSink& sink);
  // The kept start of a line goes out as P. Nothing happens without one.
  void FlushPartial(const Timestamp& time, LogSink& sink);
  // The stream has ended: a line that is still open is closed with an F.
  void Finish(const Timestamp& time, LogSink& sink);

  bool has_partial() const { return kept_ > 0; }

 private:
  class Batch;

  const char* stream_;
  bool open_ = false;  // a P has been written whose F is still to come
  size_t kept_ = 0;
  char partial_[kMaxContent];
};

}  // namespace quoll::runtime::monitor
