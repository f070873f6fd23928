// SPDX-License-Identifier: Apache-2.0
#include "runtime/stop_signal.h"

#include <signal.h>
#include <string.h>

#include <string>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"

namespace quoll::runtime {
namespace {

// What a program sees as SIGRTMIN: glibc and musl keep the kernel's first two
// or three for themselves, and images count from theirs (34), not the kernel's
// (32, signal(7)).
constexpr int kRealtimeMin = 34;
constexpr int kRealtimeMax = 64;

// "+3" or "-3"; "" is 0.
bool ParseOffset(absl::string_view text, int* offset) {
  *offset = 0;
  return text.empty() || ((text.front() == '+' || text.front() == '-') &&
                          absl::SimpleAtoi(text, offset));
}

// 0 when there is no such name.
int NumberOf(absl::string_view name) {
  for (int number = 1; number < 32; ++number) {
    const char* abbreviation = sigabbrev_np(number);  // glibc 2.32
    if (abbreviation != nullptr && name == abbreviation) {
      return number;
    }
  }
  if (name == "IOT") {
    return SIGABRT;
  }
  if (name == "CLD") {
    return SIGCHLD;
  }
  if (name == "POLL") {
    return SIGIO;
  }
  int offset = 0;
  if (absl::ConsumePrefix(&name, "RTMIN")) {
    return ParseOffset(name, &offset) && offset >= 0 ? kRealtimeMin + offset
                                                     : 0;
  }
  if (absl::ConsumePrefix(&name, "RTMAX")) {
    return ParseOffset(name, &offset) && offset <= 0 ? kRealtimeMax + offset
                                                     : 0;
  }
  return 0;
}

}  // namespace

absl::StatusOr<int> ParseSignal(absl::string_view text) {
  int number = 0;
  if (!absl::SimpleAtoi(text, &number)) {
    const std::string upper = absl::AsciiStrToUpper(text);
    absl::string_view name = upper;
    absl::ConsumePrefix(&name, "SIG");
    number = NumberOf(name);
  }
  if (number < 1 || number > kRealtimeMax) {
    return absl::InvalidArgumentError(
        absl::StrCat("\"", text.substr(0, 32), "\" is no signal"));
  }
  return number;
}

}  // namespace quoll::runtime
