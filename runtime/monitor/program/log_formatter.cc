// SPDX-License-Identifier: Apache-2.0
#include "runtime/monitor/program/log_formatter.h"

#include <string.h>

namespace quoll::runtime::monitor {

Timestamp FormatTimestamp(const timespec& time) {
  // Days to a civil date, counted in years that begin in March, so that the
  // leap day is the last one; gmtime(3) would load time zones for nothing.
  const int64_t days = time.tv_sec / 86400 + 719468;  // since 0000-03-01
  const uint64_t seconds = static_cast<uint64_t>(time.tv_sec % 86400);
  const int64_t era = days / 146097;  // of 400 years
  const uint64_t day_of_era = static_cast<uint64_t>(days - era * 146097);
  const uint64_t year_of_era = (day_of_era - day_of_era / 1460 +
                                day_of_era / 36524 - day_of_era / 146096) /
                               365;
  const uint64_t day_of_year =
      day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
  const uint64_t month_from_march = (5 * day_of_year + 2) / 153;
  const uint64_t day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
  const uint64_t month =
      month_from_march < 10 ? month_from_march + 3 : month_from_march - 9;
  const uint64_t year =
      static_cast<uint64_t>(era) * 400 + year_of_era + (month <= 2 ? 1 : 0);
  Timestamp text;
  text.AddNumber(year, 4).Add("-").AddNumber(month, 2).Add("-");
  text.AddNumber(day, 2).Add("T").AddNumber(seconds / 3600, 2).Add(":");
  text.AddNumber(seconds / 60 % 60, 2).Add(":").AddNumber(seconds % 60, 2);
  text.Add(".").AddNumber(static_cast<uint64_t>(time.tv_nsec), 9).Add("Z");
  return text;
}

// The gather list of one read; written out when it is full and at the end.
class LogFormatter::Batch {
 public:
  Batch(const Timestamp& time, const char* stream, LogSink& sink)
      : sink_(sink) {
    partial_prefix_.Add(time.c_str()).Add(" ").Add(stream).Add(" P ");
    full_prefix_.Add(time.c_str()).Add(" ").Add(stream).Add(" F ");
  }

  // One line of up to two pieces; its newline is added unless `data` ends with
  // it. The pieces must stay until Flush().
  void AddLine(bool full, const char* kept, size_t kept_size, const char* data,
               size_t size, bool has_newline) {
    if (count_ + kPartsPerLine > kMaxParts) {
      Flush();
    }
    const Text<48>& prefix = full ? full_prefix_ : partial_prefix_;
    Add(prefix.c_str(), prefix.size());
    Add(kept, kept_size);
    Add(data, size);
    if (!has_newline) {
      Add("\n", 1);
    }
  }

  void Flush() {
    if (count_ > 0) {
      sink_.Write(parts_, count_, bytes_);
    }
    count_ = 0;
    bytes_ = 0;
  }

 private:
  static constexpr int kPartsPerLine = 4;
  static constexpr int kMaxParts = 1024;  // IOV_MAX

  void Add(const char* data, size_t size) {
    if (size == 0) {
      return;
    }
    bytes_ += size;
    parts_[count_].iov_base = const_cast<char*>(data);
    parts_[count_].iov_len = size;
    ++count_;
  }

  // Static: one stream is formatted at a time, and the stack of a process that
  // exists once per container stays small.
  static iovec parts_[kMaxParts];

  LogSink& sink_;
  Text<48> partial_prefix_;
  Text<48> full_prefix_;
  int count_ = 0;
  size_t bytes_ = 0;
};

iovec LogFormatter::Batch::parts_[kMaxParts];

void LogFormatter::Feed(const char* data, size_t size, const Timestamp& time,
                        LogSink& sink) {
  Batch batch(time, stream_, sink);
  const char* const end = data + size;
  size_t kept = kept_;
  while (data != end) {
    const char* newline = static_cast<const char*>(
        memchr(data, '\n', static_cast<size_t>(end - data)));
    const char* const line_end = newline != nullptr ? newline : end;
    while (kept + static_cast<size_t>(line_end - data) > kMaxContent) {
      const size_t take = kMaxContent - kept;
      batch.AddLine(/*full=*/false, partial_, kept, data, take,
                    /*has_newline=*/false);
      open_ = true;
      data += take;
      kept = 0;
    }
    if (newline == nullptr) {
      break;
    }
    batch.AddLine(/*full=*/true, partial_, kept, data,
                  static_cast<size_t>(newline + 1 - data),
                  /*has_newline=*/true);
    open_ = false;
    data = newline + 1;
    kept = 0;
  }
  batch.Flush();  // before partial_, which it may refer to, changes
  memcpy(partial_ + kept, data, static_cast<size_t>(end - data));
  kept_ = kept + static_cast<size_t>(end - data);
}

void LogFormatter::FlushPartial(const Timestamp& time, LogSink& sink) {
  if (kept_ == 0) {
    return;
  }
  Batch batch(time, stream_, sink);
  batch.AddLine(/*full=*/false, partial_, kept_, nullptr, 0,
                /*has_newline=*/false);
  batch.Flush();
  open_ = true;
  kept_ = 0;
}

void LogFormatter::Finish(const Timestamp& time, LogSink& sink) {
  if (kept_ == 0 && !open_) {
    return;
  }
  Batch batch(time, stream_, sink);
  batch.AddLine(/*full=*/true, partial_, kept_, nullptr, 0,
                /*has_newline=*/false);
  batch.Flush();
  open_ = false;
  kept_ = 0;
}

}  // namespace quoll::runtime::monitor
