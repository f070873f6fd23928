// SPDX-License-Identifier: Apache-2.0
#include "runtime/monitor/monitor_files.h"

#include <limits>

#include "absl/status/status.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"

#include "os/annotate.h"
#include "os/files.h"
#include "os/status_macros.h"
#include "runtime/monitor/protocol.h"

namespace quoll::runtime {
namespace {

constexpr size_t kMaxFile = 4096;

// Digits only: absl::SimpleAtoi would take spaces and signs.
template <typename Number>
bool ParseDigits(absl::string_view text, uint64_t max, Number* number) {
  uint64_t value = 0;
  if (text.empty() ||
      text.find_first_not_of("0123456789") != absl::string_view::npos ||
      !absl::SimpleAtoi(text, &value) || value > max) {
    return false;
  }
  *number = static_cast<Number>(value);
  return true;
}

// "KEY NUMBER\n" at the start of `text`, which it cuts off.
template <typename Number>
bool TakeLine(absl::string_view* text, absl::string_view key, uint64_t max,
              Number* number) {
  if (!absl::ConsumePrefix(text, key) || !absl::ConsumePrefix(text, " ")) {
    return false;
  }
  const size_t end = text->find('\n');
  if (end == absl::string_view::npos ||
      !ParseDigits(text->substr(0, end), max, number)) {
    return false;
  }
  text->remove_prefix(end + 1);
  return true;
}

bool ParseIdentity(absl::string_view pid, absl::string_view start_time,
                   os::ProcessIdentity* identity) {
  return ParseDigits(pid, std::numeric_limits<int32_t>::max(),
                     &identity->pid) &&
         ParseDigits(start_time, std::numeric_limits<uint64_t>::max(),
                     &identity->start_time_ticks) &&
         identity->pid > 1;
}

}  // namespace

ConfigLines BaseConfig(const std::string& container_id,
                       const std::string& bundle, const OciProgram& runtime) {
  ConfigLines lines = {{"id", container_id},
                       {"bundle", bundle},
                       {"program", runtime.program},
                       {"root", runtime.root}};
  for (const std::string& arg : runtime.global_args) {
    lines.emplace_back("arg", arg);
  }
  return lines;
}

std::string EncodeConfig(const ConfigLines& lines) {
  std::string text;
  for (const auto& [key, value] : lines) {
    absl::StrAppend(&text, key, "=",
                    absl::StrReplaceAll(value, {{"%", "%25"}, {"\n", "%0A"}}),
                    "\n");
  }
  return text;
}

absl::StatusOr<ExitRecord> ParseExitRecord(absl::string_view text) {
  ExitRecord record;
  int oom_killed = 0;
  if (!absl::ConsumePrefix(&text, "quoll-exit 1\n") ||
      !TakeLine(&text, "exit_code", 255, &record.exit_code) ||
      !TakeLine(&text, "signal", 127, &record.signal) ||
      !TakeLine(&text, "oom_killed", 1, &oom_killed) ||
      !TakeLine(&text, "finished_at_ns", std::numeric_limits<int64_t>::max(),
                &record.finished_at_ns) ||
      !text.empty()) {
    return absl::DataLossError("not an exit record of quoll-monitor");
  }
  record.oom_killed = oom_killed != 0;
  return record;
}

absl::StatusOr<ExitRecord> ReadExitRecord(const std::string& bundle) {
  const std::string path = absl::StrCat(bundle, "/", monitor::kExitFile);
  QUOLL_ASSIGN_OR_RETURN(const std::string text, os::ReadFile(path, kMaxFile));
  absl::StatusOr<ExitRecord> record = ParseExitRecord(text);
  if (!record.ok()) {
    return os::Annotate(record.status(), path);
  }
  return record;
}

absl::StatusOr<LaunchedContainer> ParseMonitorPid(absl::string_view text) {
  LaunchedContainer container;
  const bool ended = absl::ConsumeSuffix(&text, "\n");
  const std::vector<absl::string_view> fields = absl::StrSplit(text, ' ');
  if (!ended || (fields.size() != 2 && fields.size() != 4) ||
      !ParseIdentity(fields[0], fields[1], &container.monitor) ||
      (fields.size() == 4 &&
       !ParseIdentity(fields[2], fields[3], &container.init))) {
    return absl::DataLossError("not a pid file of quoll-monitor");
  }
  return container;
}

absl::StatusOr<LaunchedContainer> ReadMonitorPid(const std::string& bundle) {
  const std::string path = absl::StrCat(bundle, "/", monitor::kPidFile);
  QUOLL_ASSIGN_OR_RETURN(const std::string text, os::ReadFile(path, kMaxFile));
  absl::StatusOr<LaunchedContainer> container = ParseMonitorPid(text);
  if (!container.ok()) {
    return os::Annotate(container.status(), path);
  }
  return container;
}

}  // namespace quoll::runtime
