// SPDX-License-Identifier: Apache-2.0
#include "ctl/cri_log.h"

#include "absl/strings/str_cat.h"

namespace quoll::ctl {
namespace {

// Takes the word up to the next blank off `text`.
absl::string_view TakeWord(absl::string_view& text) {
  const size_t blank = text.find(' ');
  const absl::string_view word = text.substr(0, blank);
  text = blank == absl::string_view::npos ? absl::string_view()
                                          : text.substr(blank + 1);
  return word;
}

// Tags are ":"-separated, the first one is P or F.
bool GoesOn(absl::string_view line) {
  TakeWord(line);
  TakeWord(line);
  return TakeWord(line).substr(0, 1) == "P";
}

}  // namespace

LogPiece ParseLogLine(absl::string_view line) {
  absl::string_view rest = line;
  TakeWord(rest);  // the time
  const absl::string_view stream = TakeWord(rest);
  const absl::string_view tag = TakeWord(rest);
  const bool known = (stream == "stdout" || stream == "stderr") &&
                     (tag.substr(0, 1) == "P" || tag.substr(0, 1) == "F");
  if (!known) {
    return {true, absl::StrCat(line, "\n")};
  }
  return {stream == "stderr",
          tag.front() == 'P' ? std::string(rest) : absl::StrCat(rest, "\n")};
}

std::vector<LogPiece> LogReader::Feed(absl::string_view bytes) {
  absl::StrAppend(&rest_, bytes);
  std::vector<LogPiece> pieces;
  size_t begin = 0;
  for (size_t end = rest_.find('\n'); end != std::string::npos;
       end = rest_.find('\n', begin)) {
    pieces.push_back(
        ParseLogLine(absl::string_view(rest_).substr(begin, end - begin)));
    begin = end + 1;
  }
  rest_.erase(0, begin);
  if (rest_.size() > kMaxLineBytes) {
    pieces.push_back(ParseLogLine(rest_));
    rest_.clear();
  }
  return pieces;
}

std::vector<LogPiece> LogReader::Finish() {
  std::vector<LogPiece> pieces;
  if (!rest_.empty()) {
    pieces.push_back(ParseLogLine(rest_));
    rest_.clear();
  }
  return pieces;
}

size_t TailOffset(absl::string_view log, int lines) {
  if (lines < 0) {
    return 0;
  }
  // Backwards, line by line; a line that goes on belongs to the one after it,
  // so only an F line (or the file's end) begins a new one to count.
  size_t offset = log.size();
  int found = 0;
  while (offset > 0) {
    const size_t newline =
        offset >= 2 ? log.rfind('\n', offset - 2) : absl::string_view::npos;
    const size_t begin = newline == absl::string_view::npos ? 0 : newline + 1;
    if (!GoesOn(log.substr(begin, offset - begin)) && found++ == lines) {
      return offset;
    }
    offset = begin;
  }
  return 0;
}

}  // namespace quoll::ctl
