// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

#include "runtime/monitor/monitors.h"

// The text forms of protocol.h, from quolld's side. Pure but for the two Read
// functions. Parsing is strict: a file that is not exactly as a monitor writes
// it is DataLoss, never a guess.
namespace quoll::runtime {

using ConfigLines = std::vector<std::pair<std::string, std::string>>;
// What every mode of the monitor is told.
ConfigLines BaseConfig(const std::string& container_id,
                       const std::string& bundle, const OciProgram& runtime);
std::string EncodeConfig(const ConfigLines& lines);

absl::StatusOr<ExitRecord> ParseExitRecord(absl::string_view text);
// NotFound while there is none.
absl::StatusOr<ExitRecord> ReadExitRecord(const std::string& bundle);

// `init.pid` is 0 until the OCI runtime's create is done.
absl::StatusOr<LaunchedContainer> ParseMonitorPid(absl::string_view text);
absl::StatusOr<LaunchedContainer> ReadMonitorPid(const std::string& bundle);

}  // namespace quoll::runtime
