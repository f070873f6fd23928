// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>

#include "runtime/monitor/protocol.h"

namespace quoll::runtime::monitor {

// Sends one message with a fixed part and a text, in one write (pipes) or one
// packet (sockets), never blocking and never raising SIGPIPE. False when nobody
// can take it.
bool SendMessage(int fd, MessageType type, const void* fixed, size_t fixed_size,
                 const char* text, size_t text_size);

// The report pipe's other end is closed: nobody waits for the report any more.
bool IsReaderGone(int fd);

}  // namespace quoll::runtime::monitor
