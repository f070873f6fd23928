// SPDX-License-Identifier: Apache-2.0
#include <signal.h>

#include "ctl/quollctl.h"

int main(int argc, char** argv) {
  // `quollctl logs | head` ends with an error of the write, not by a signal
  // whose exit code scripts would have to know.
  signal(SIGPIPE, SIG_IGN);
  return quoll::ctl::Quollctl(argc, argv);
}
