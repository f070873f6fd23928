// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

// What quolld and quoll-monitor say to each other. A monitor lives as long as
// its container, so a new quolld meets monitors of the previous release: a
// released message never changes its layout or its number. To change one, add a
// new type and raise kVersion; both sides then go on accepting kOldestVersion,
// which is at most one release back. Integers are in host byte order: both ends
// are on one machine. libc only: both sides include this.
//
// The files in a container's bundle are part of the protocol:
//   monitor.conf   what it was launched with (config text, below)
//   monitor.pid    "PID START [INIT_PID INIT_START]\n", by rename: first the
//                  monitor alone, the init as soon as it exists
//   monitor.sock   SOCK_SEQPACKET, mode 0600: one message per packet
//   exit           the exit record, by rename: ExitRecord as text,
//                    quoll-exit 1\n
//                    exit_code N\n
//                    signal N\n
//                    oom_killed 0|1\n
//                    finished_at_ns N\n
//
// Config text: lines "key=value"; in values '%' and newline are written as %25
// and %0A. Unknown keys are refused: a monitor is always started by the quolld
// of its own release.
namespace quoll::runtime::monitor {

inline constexpr uint32_t kMagic = 0x4e4d4c51;  // "QLMN"
inline constexpr uint16_t kVersion = 1;
inline constexpr uint16_t kOldestVersion = 1;

enum class MessageType : uint16_t {
  kReady = 1,       // monitor, ready pipe: ReadyReport
  kFailed = 2,      // monitor, ready pipe: FailureReport + text
  kExecReport = 3,  // monitor, result pipe: ExecReport + text
  kReopenLog = 16,  // quolld, socket: no payload
  kReply = 17,      // monitor, socket: Reply
};

struct Header {
  uint32_t magic = kMagic;
  uint16_t version = kVersion;
  MessageType type = MessageType::kReply;
  uint32_t length = 0;  // of the payload that follows
  uint32_t reserved = 0;
};
static_assert(sizeof(Header) == 16);

// A whole message never exceeds this: one atomic pipe write, one packet.
inline constexpr uint32_t kMaxMessage = 4096;
inline constexpr uint32_t kMaxPayload = kMaxMessage - sizeof(Header);

// True when `header` may be the start of a message of which `total` bytes are
// there, header included.
inline bool IsValid(const Header& header, uint64_t total) {
  return header.magic == kMagic && header.version >= kOldestVersion &&
         header.version <= kVersion && header.length <= kMaxPayload &&
         total == sizeof(Header) + header.length;
}

// The container was created; its init waits for the OCI runtime's start.
struct ReadyReport {
  int32_t init_pid = 0;
  uint32_t reserved = 0;
  uint64_t init_start_time = 0;
};
static_assert(sizeof(ReadyReport) == 16);

enum class Failure : uint32_t {
  kRuntime = 1,  // the OCI runtime failed; runtime.log says why
  kSystem = 2,   // a system call of the monitor failed
};

// Nothing was created or all of it is undone. The text that follows names the
// step and the error; for kRuntime it is the end of the runtime's stderr.
struct FailureReport {
  Failure failure = Failure::kSystem;
  uint32_t reserved = 0;
};
static_assert(sizeof(FailureReport) == 8);

enum class ExecOutcome : uint32_t {
  kExited = 1,         // code and signal are set
  kRuntimeFailed = 2,  // nothing ran; the exec's log says why
  kKilled = 3,         // as asked, every process of it is gone
  kLeftovers = 4,      // killed, but some processes did not end in time
  kNotRunning = 5,     // the container's init is gone
  kSystem = 6,         // a system call of the monitor failed; text
};

struct ExecReport {
  ExecOutcome outcome = ExecOutcome::kSystem;
  int32_t exit_code = 0;
  int32_t signal = 0;
  uint32_t reserved = 0;
};
static_assert(sizeof(ExecReport) == 16);

struct Reply {
  int32_t error = 0;  // errno; 0: done
  uint32_t reserved = 0;
};
static_assert(sizeof(Reply) == 8);

// Names in the bundle.
inline constexpr char kConfigFile[] = "monitor.conf";
inline constexpr char kPidFile[] = "monitor.pid";
inline constexpr char kSocketFile[] = "monitor.sock";
inline constexpr char kExitFile[] = "exit";
inline constexpr char kInitPidFile[] = "init.pid";
inline constexpr char kRuntimeLog[] = "runtime.log";
inline constexpr char kConsoleSocket[] = "console.sock";

// Descriptors that quolld opens for it. 0 is /dev/null; 1 and 2 are the exec's
// output, else /dev/null.
inline constexpr int kConfigFd = 3;   // config text, read to its end
inline constexpr int kReportFd = 4;   // ready or result pipe
inline constexpr int kControlFd = 5;  // exec: its end of file means "kill"

}  // namespace quoll::runtime::monitor
