// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

#include "spdlog/spdlog.h"

// Logging by spdlog to stderr (journald and files are the service manager's).
// Call sites use spdlog's own macros-free functions: spdlog::info("...", ...).
namespace quoll::os {

enum class LogFormat { kText, kJson };

struct LogOptions {
  std::string level = "info";  // trace, debug, info, warn, error
  LogFormat format = LogFormat::kText;
};

// Replaces spdlog's default logger. InvalidArgument for an unknown level.
absl::Status InitLog(const LogOptions& options);

// While it lives, each line that this thread logs carries the request's id.
// Scopes nest; the destructor restores the outer one.
class LogRequestScope {
 public:
  explicit LogRequestScope(std::string request_id);
  ~LogRequestScope();
  LogRequestScope(const LogRequestScope&) = delete;
  LogRequestScope& operator=(const LogRequestScope&) = delete;

 private:
  std::string outer_;
};

// Of the innermost scope of this thread; "" outside one. To carry it over to a
// worker thread.
const std::string& CurrentRequestId();

}  // namespace quoll::os
