// SPDX-License-Identifier: Apache-2.0
// quoll-pause: PID 1 of a pod whose containers share a PID namespace. Keeps the
// namespace, reaps what containers leave behind, ends when it is told to.
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

int main(int argc, char** argv) {
  if (argc > 1) {
    fprintf(stderr, "%s takes no arguments; quoll-helper starts it\n", argv[0]);
    return 2;
  }
  // Signals wait here instead of being handled: PID 1 is not sent what it does
  // not handle (pid_namespaces(7)), but a blocked signal stays pending.
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGCHLD);
  sigaddset(&signals, SIGINT);
  sigaddset(&signals, SIGTERM);
  if (sigprocmask(SIG_BLOCK, &signals, nullptr) != 0) {
    fprintf(stderr, "%s: block signals: %s\n", argv[0], strerror(errno));
    return 1;
  }
  while (true) {
    // One SIGCHLD may stand for many children; and for those that ended before
    // it was blocked there is none.
    while (waitpid(-1, nullptr, WNOHANG) > 0) {
    }
    const int signo = sigwaitinfo(&signals, nullptr);
    if (signo == SIGINT || signo == SIGTERM) {
      return 0;
    }
  }
}
