// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <poll.h>

#include <cstddef>

#include "runtime/monitor/protocol.h"

namespace quoll::runtime::monitor {

// monitor.sock: any number of quolld's connections, one after the other or at
// once, up to kMaxConnections. One packet in, one packet out. A peer that
// speaks nonsense or does not read its answers is dropped; nothing here blocks.
// Attaching to a container will be one more request: the answer hands over the
// container's stdin and a stream of its output.
class ControlServer {
 public:
  static constexpr int kMaxConnections = 8;
  static constexpr int kMaxPollFds = kMaxConnections + 1;

  class Handler {
   public:
    // 0 or an errno.
    virtual int ReopenLog() = 0;

   protected:
    ~Handler() = default;
  };

  explicit ControlServer(Handler& handler) : handler_(handler) {}

  // Binds in the working directory (a relative path: a bundle's own may be
  // longer than the 108 bytes of sun_path). 0 or -errno.
  int Listen();

  // Appends what poll(2) should look at; how many.
  int AddPollFds(pollfd* fds) const;
  // Serves what is ready among the entries that AddPollFds() made.
  void Serve(const pollfd* fds, int count);

 private:
  void Accept();
  // False: drop the connection.
  bool ServeOne(int fd);

  Handler& handler_;
  int listen_fd_ = -1;
  int connections_[kMaxConnections] = {-1, -1, -1, -1, -1, -1, -1, -1};
};

}  // namespace quoll::runtime::monitor
