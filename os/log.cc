// SPDX-License-Identifier: Apache-2.0
#include "os/log.h"

#include <exception>
#include <memory>
#include <utility>

#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"

#include "spdlog/pattern_formatter.h"
#include "spdlog/sinks/stdout_sinks.h"

namespace quoll::os {
namespace {

thread_local std::string current_request_id;

// The length of the well-formed UTF-8 character at the start of `text`; 0 when
// there is none (Unicode 15, table 3-7).
size_t Utf8Length(absl::string_view text) {
  const auto byte = [text](size_t i) {
    return i < text.size() ? static_cast<unsigned char>(text[i]) : 0u;
  };
  const auto continues = [byte](size_t i) { return (byte(i) & 0xC0) == 0x80; };
  const unsigned lead = byte(0);
  if (lead < 0x80) {
    return 1;
  }
  if (lead >= 0xC2 && lead <= 0xDF) {
    return continues(1) ? 2 : 0;
  }
  if (lead >= 0xE0 && lead <= 0xEF) {
    const bool overlong = lead == 0xE0 && byte(1) < 0xA0;
    const bool surrogate = lead == 0xED && byte(1) > 0x9F;
    return continues(1) && continues(2) && !overlong && !surrogate ? 3 : 0;
  }
  if (lead >= 0xF0 && lead <= 0xF4) {
    const bool overlong = lead == 0xF0 && byte(1) < 0x90;
    const bool too_high = lead == 0xF4 && byte(1) > 0x8F;
    const bool whole = continues(1) && continues(2) && continues(3);
    return whole && !overlong && !too_high ? 4 : 0;
  }
  return 0;
}

void Append(absl::string_view text, spdlog::memory_buf_t& out) {
  out.append(text.data(), text.data() + text.size());
}

void AppendControl(unsigned char c, spdlog::memory_buf_t& out) {
  constexpr char kHex[] = "0123456789abcdef";
  switch (c) {
    case '\n':
      return Append("\\n", out);
    case '\r':
      return Append("\\r", out);
    case '\t':
      return Append("\\t", out);
    default:
      Append("\\u00", out);
      out.push_back(kHex[c >> 4]);
      out.push_back(kHex[c & 15]);
  }
}

// Messages quote names and output of strangers: a line break in one must not
// forge a second log line, nor an escape sequence drive a terminal.
void AppendOneLine(absl::string_view text, bool json,
                   spdlog::memory_buf_t& out) {
  while (!text.empty()) {
    const auto c = static_cast<unsigned char>(text.front());
    const size_t length = Utf8Length(text);
    if (length == 0) {
      Append("\xEF\xBF\xBD", out);  // U+FFFD, the replacement character
      text.remove_prefix(1);
      continue;
    }
    if (c < 0x20 || c == 0x7F) {
      AppendControl(c, out);
    } else {
      if (json && (c == '"' || c == '\\')) {
        out.push_back('\\');
      }
      Append(text.substr(0, length), out);
    }
    text.remove_prefix(length);
  }
}

absl::string_view View(spdlog::string_view_t text) {
  return {text.data(), text.size()};
}

// %* in the text format: "INFO [req-id] message".
class TextLine : public spdlog::custom_flag_formatter {
 public:
  void format(const spdlog::details::log_msg& message, const std::tm&,
              spdlog::memory_buf_t& out) override {
    constexpr absl::string_view kNames[] = {"TRACE", "DEBUG", "INFO", "WARN",
                                            "ERROR", "FATAL", "OFF"};
    Append(kNames[message.level], out);
    if (!current_request_id.empty()) {
      Append(" [", out);
      AppendOneLine(current_request_id, false, out);
      Append("]", out);
    }
    Append(" ", out);
    AppendOneLine(View(message.payload), false, out);
  }
  std::unique_ptr<custom_flag_formatter> clone() const override {
    return std::make_unique<TextLine>();
  }
};

// %* in the JSON format: the members after "time".
class JsonMembers : public spdlog::custom_flag_formatter {
 public:
  void format(const spdlog::details::log_msg& message, const std::tm&,
              spdlog::memory_buf_t& out) override {
    constexpr absl::string_view kNames[] = {"trace", "debug", "info", "warn",
                                            "error", "fatal", "off"};
    Append("\"level\":\"", out);
    Append(kNames[message.level], out);
    if (!current_request_id.empty()) {
      Append("\",\"request\":\"", out);
      AppendOneLine(current_request_id, true, out);
    }
    Append("\",\"message\":\"", out);
    AppendOneLine(View(message.payload), true, out);
    Append("\"", out);
  }
  std::unique_ptr<custom_flag_formatter> clone() const override {
    return std::make_unique<JsonMembers>();
  }
};

absl::StatusOr<spdlog::level::level_enum> ParseLevel(absl::string_view name) {
  constexpr std::pair<absl::string_view, spdlog::level::level_enum> kLevels[] =
      {{"trace", spdlog::level::trace},
       {"debug", spdlog::level::debug},
       {"info", spdlog::level::info},
       {"warn", spdlog::level::warn},
       {"error", spdlog::level::err}};
  for (const auto& [known, level] : kLevels) {
    if (name == known) {
      return level;
    }
  }
  return absl::InvalidArgumentError(
      absl::StrCat("unknown log level \"", name,
                   "\"; use trace, debug, info, warn or error"));
}

}  // namespace

absl::Status InitLog(const LogOptions& options) {
  const absl::StatusOr<spdlog::level::level_enum> level =
      ParseLevel(options.level);
  if (!level.ok()) {
    return level.status();
  }
  auto formatter = std::make_unique<spdlog::pattern_formatter>(
      spdlog::pattern_time_type::utc, "\n");
  if (options.format == LogFormat::kJson) {
    formatter->add_flag<JsonMembers>('*').set_pattern(
        "{\"time\":\"%Y-%m-%dT%H:%M:%S.%eZ\",%*}");
  } else {
    formatter->add_flag<TextLine>('*').set_pattern("%Y-%m-%dT%H:%M:%S.%eZ %*");
  }
  try {
    auto logger = std::make_shared<spdlog::logger>(
        "quoll", std::make_shared<spdlog::sinks::stderr_sink_mt>());
    logger->set_formatter(std::move(formatter));
    logger->set_level(*level);
    spdlog::set_default_logger(std::move(logger));
  } catch (const std::exception& e) {
    return absl::InternalError(absl::StrCat("set up logging: ", e.what()));
  }
  return absl::OkStatus();
}

LogRequestScope::LogRequestScope(std::string request_id)
    : outer_(std::exchange(current_request_id, std::move(request_id))) {}

LogRequestScope::~LogRequestScope() {
  current_request_id = std::move(outer_);
}

const std::string& CurrentRequestId() {
  return current_request_id;
}

}  // namespace quoll::os
