// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "absl/strings/string_view.h"

// Container logs as CRI has them, one line each:
//   <RFC 3339 time> <stdout|stderr> <P|F> <content>
// P: the program's line goes on with the stream's next one. Pure.
namespace quoll::ctl {

struct LogPiece {
  bool to_stderr = false;
  std::string text;  // what the program wrote: with '\n' unless it goes on
};

// One line without its '\n'. What is no CRI line comes out whole, on stderr:
// nothing that is in the file is hidden.
LogPiece ParseLogLine(absl::string_view line);

// Cuts a growing file into whole lines.
class LogReader {
 public:
  // What a line may have before it is taken for something that is no log. The
  // monitor's own lines have up to 16 KiB.
  static constexpr size_t kMaxLineBytes = 1 << 20;

  // The pieces that are complete with these further bytes.
  std::vector<LogPiece> Feed(absl::string_view bytes);

  // At the file's end: what is left when its last line has no end.
  std::vector<LogPiece> Finish();

 private:
  std::string rest_;
};

// The bytes of `log` from which the program's last `lines` lines begin (parts
// of one line count once). -1: all.
size_t TailOffset(absl::string_view log, int lines);

}  // namespace quoll::ctl
