// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "runtime/monitor/program/log_formatter.h"

namespace quoll::runtime::monitor {

// The container's log file, which nobody else writes. A container must never
// stand still or end because its log cannot be written: what does not fit on
// the disk is dropped and counted, and when there is space again one line says
// how much is missing. With an empty path everything is dropped silently.
class LogFile : public LogSink {
 public:
  // `path` must live as long as this.
  void SetPath(const char* path) { path_ = path; }

  // Opens (first call) or reopens the path. 0 or -errno; on an error the file
  // that was open stays in use, so that a failed rotation loses nothing.
  int Reopen();

  // All parts or none of them: a batch that fits only in part is taken back.
  void Write(iovec* parts, int count, size_t bytes) override;

 private:
  bool WriteAllParts(iovec* parts, int count, size_t bytes);
  // Says what is missing; false when even that does not fit.
  bool WriteMarker();

  const char* path_ = "";
  int fd_ = -1;
  bool torn_ = false;  // the file ends inside a line
  int dropped_error_ = 0;
  uint64_t dropped_bytes_ = 0;
};

}  // namespace quoll::runtime::monitor
