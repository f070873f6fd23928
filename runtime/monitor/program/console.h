// SPDX-License-Identifier: Apache-2.0
#pragma once

// The console socket of the OCI runtime's create: for a container with a
// terminal the runtime connects and sends the master of its pty (SCM_RIGHTS).
namespace quoll::runtime::monitor {

// A socket that listens on kConsoleSocket in the working directory, or -errno.
int ListenForConsole();

// The master, non-blocking, from the runtime that has just ended, or -errno.
// Waits a second at most. Removes the socket's file.
int ReceiveConsole(int listen_fd);

}  // namespace quoll::runtime::monitor
