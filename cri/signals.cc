// SPDX-License-Identifier: Apache-2.0
#include "cri/signals.h"

#include <signal.h>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"

namespace quoll::cri {
namespace {

namespace criv1 = ::runtime::v1;

struct Pair {
  criv1::Signal signal;
  int number;
};

// signal(7). Of two names with one number the first is what the number is
// translated back to.
constexpr Pair kSignals[] = {
    {criv1::SIGNAL_SIGABRT, SIGABRT},     {criv1::SIGNAL_SIGALRM, SIGALRM},
    {criv1::SIGNAL_SIGBUS, SIGBUS},       {criv1::SIGNAL_SIGCHLD, SIGCHLD},
    {criv1::SIGNAL_SIGCLD, SIGCHLD},      {criv1::SIGNAL_SIGCONT, SIGCONT},
    {criv1::SIGNAL_SIGFPE, SIGFPE},       {criv1::SIGNAL_SIGHUP, SIGHUP},
    {criv1::SIGNAL_SIGILL, SIGILL},       {criv1::SIGNAL_SIGINT, SIGINT},
    {criv1::SIGNAL_SIGIO, SIGIO},         {criv1::SIGNAL_SIGIOT, SIGABRT},
    {criv1::SIGNAL_SIGKILL, SIGKILL},     {criv1::SIGNAL_SIGPIPE, SIGPIPE},
    {criv1::SIGNAL_SIGPOLL, SIGIO},       {criv1::SIGNAL_SIGPROF, SIGPROF},
    {criv1::SIGNAL_SIGPWR, SIGPWR},       {criv1::SIGNAL_SIGQUIT, SIGQUIT},
    {criv1::SIGNAL_SIGSEGV, SIGSEGV},     {criv1::SIGNAL_SIGSTKFLT, SIGSTKFLT},
    {criv1::SIGNAL_SIGSTOP, SIGSTOP},     {criv1::SIGNAL_SIGSYS, SIGSYS},
    {criv1::SIGNAL_SIGTERM, SIGTERM},     {criv1::SIGNAL_SIGTRAP, SIGTRAP},
    {criv1::SIGNAL_SIGTSTP, SIGTSTP},     {criv1::SIGNAL_SIGTTIN, SIGTTIN},
    {criv1::SIGNAL_SIGTTOU, SIGTTOU},     {criv1::SIGNAL_SIGURG, SIGURG},
    {criv1::SIGNAL_SIGUSR1, SIGUSR1},     {criv1::SIGNAL_SIGUSR2, SIGUSR2},
    {criv1::SIGNAL_SIGVTALRM, SIGVTALRM}, {criv1::SIGNAL_SIGWINCH, SIGWINCH},
    {criv1::SIGNAL_SIGXCPU, SIGXCPU},     {criv1::SIGNAL_SIGXFSZ, SIGXFSZ},
};

// CRI numbers the real time signals without a gap: SIGRTMIN .. SIGRTMIN+15,
// SIGRTMAX-14 .. SIGRTMAX, which are 34 .. 64 on Linux with glibc.
constexpr int kRtMin = 34;
constexpr int kRtMax = 64;
static_assert(criv1::SIGNAL_SIGRTMAX - criv1::SIGNAL_SIGRTMIN ==
              kRtMax - kRtMin);

}  // namespace

absl::StatusOr<int> SignalNumber(criv1::Signal signal) {
  if (signal == criv1::SIGNAL_RUNTIME_DEFAULT) {
    return 0;
  }
  for (const Pair& pair : kSignals) {
    if (pair.signal == signal) {
      return pair.number;
    }
  }
  if (signal >= criv1::SIGNAL_SIGRTMIN && signal <= criv1::SIGNAL_SIGRTMAX) {
    return kRtMin + (signal - criv1::SIGNAL_SIGRTMIN);
  }
  return absl::InvalidArgumentError(
      absl::StrCat("config.stop_signal: ", static_cast<int>(signal),
                   " is no signal of CRI v1"));
}

criv1::Signal SignalFromNumber(int number) {
  for (const Pair& pair : kSignals) {
    if (pair.number == number) {
      return pair.signal;
    }
  }
  if (number >= kRtMin && number <= kRtMax) {
    return static_cast<criv1::Signal>(criv1::SIGNAL_SIGRTMIN + number - kRtMin);
  }
  return criv1::SIGNAL_RUNTIME_DEFAULT;
}

}  // namespace quoll::cri
