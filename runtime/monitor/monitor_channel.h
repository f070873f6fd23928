// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"

#include "os/unique_fd.h"
#include "runtime/monitor/protocol.h"

// How messages of protocol.h get in and out of quolld. What comes in is checked
// as a stranger's would be: a monitor may be of another release, or its memory
// may have been overwritten.
namespace quoll::runtime {

struct MonitorMessage {
  monitor::MessageType type;
  std::string payload;

  // The payload's fixed part, and the text after it. DataLoss when it is
  // shorter.
  template <typename Fixed>
  absl::StatusOr<Fixed> Take(std::string* text = nullptr) const {
    Fixed fixed;
    if (payload.size() < sizeof(fixed)) {
      return absl::DataLossError("quoll-monitor: message too short");
    }
    payload.copy(reinterpret_cast<char*>(&fixed), sizeof(fixed));
    if (text != nullptr) {
      *text = payload.substr(sizeof(fixed));
    }
    return fixed;
  }
};

// One message that `bytes` consist of.
absl::StatusOr<MonitorMessage> ParseMessage(const std::string& bytes);

// The one report on a ready pipe. Unavailable when the monitor ended without
// one, DeadlineExceeded.
absl::StatusOr<MonitorMessage> ReadReport(int pipe_fd, absl::Time deadline);

// One request to BUNDLE/monitor.sock and its reply; each step is bounded by the
// deadline. NotFound when nobody listens there.
absl::StatusOr<MonitorMessage> Ask(const std::string& bundle,
                                   monitor::MessageType type,
                                   absl::Time deadline);

// Creates a close-on-exec pipe.
struct PipeEnds {
  os::UniqueFd read;
  os::UniqueFd write;
};
absl::StatusOr<PipeEnds> MakePipe();

}  // namespace quoll::runtime
