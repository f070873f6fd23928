// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <functional>
#include <map>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/synchronization/mutex.h"
#include "gtest/gtest.h"

#include "os/unique_fd.h"

namespace quoll::image {

// For tests: an HTTP server on a free loopback port that does just what the
// test's handler says, one request per connection. Does not speak TLS: a TLS
// client is hung up on.
class ScriptedHttpServer {
 public:
  struct Request {
    std::string target;                          // "/v2/..."
    std::map<std::string, std::string> headers;  // lower-case names
    std::string body;
    std::string Header(const std::string& name) const {
      const auto it = headers.find(name);
      return it == headers.end() ? "" : it->second;
    }
  };

  class Peer {
   public:
    explicit Peer(int fd) : fd_(fd) {}
    // Bytes as they are.
    void Send(const std::string& bytes) {
      size_t sent = 0;
      while (sent < bytes.size()) {
        const ssize_t n =
            ::send(fd_, bytes.data() + sent, bytes.size() - sent, MSG_NOSIGNAL);
        if (n <= 0) {
          return;
        }
        sent += static_cast<size_t>(n);
      }
    }
    // A whole answer. `headers`: "Name: value\r\n"...
    void Answer(int status, const std::string& headers,
                const std::string& body) {
      Send(absl::StrCat("HTTP/1.1 ", status, " x\r\nConnection: close\r\n",
                        headers, "Content-Length: ", body.size(), "\r\n\r\n",
                        body));
    }
    // Blocks until the client hangs up (or the server is destroyed).
    void AwaitHangUp() {
      char byte;
      while (::recv(fd_, &byte, 1, 0) > 0) {
      }
    }

   private:
    int fd_;
  };

  using Handler = std::function<void(const Request&, Peer&)>;

  explicit ScriptedHttpServer(Handler handler) : handler_(std::move(handler)) {
    listener_ = os::UniqueFd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    struct sockaddr_in address = {};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    auto* generic = reinterpret_cast<struct sockaddr*>(&address);
    socklen_t size = sizeof(address);
    EXPECT_EQ(::bind(listener_.get(), generic, size), 0);
    EXPECT_EQ(::listen(listener_.get(), 64), 0);
    EXPECT_EQ(::getsockname(listener_.get(), generic, &size), 0);
    port_ = ntohs(address.sin_port);
    acceptor_ = std::thread([this] { AcceptAll(); });
  }

  ~ScriptedHttpServer() {
    ::shutdown(listener_.get(), SHUT_RDWR);  // ends accept(2) on Linux
    acceptor_.join();
    {
      absl::MutexLock lock(&mutex_);
      for (const os::UniqueFd& fd : peers_) {
        ::shutdown(fd.get(), SHUT_RDWR);
      }
    }
    for (std::thread& thread : threads_) {
      thread.join();
    }
  }

  std::string host() const { return absl::StrCat("127.0.0.1:", port_); }

 private:
  void AcceptAll() {
    while (true) {
      os::UniqueFd fd(
          ::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC));
      if (!fd.valid()) {
        return;
      }
      const int number = fd.get();
      {
        absl::MutexLock lock(&mutex_);
        peers_.push_back(std::move(fd));
      }
      threads_.emplace_back([this, number] {
        Serve(number);
        ::shutdown(number, SHUT_RDWR);
      });
    }
  }

  void Serve(int fd) {
    std::string text;
    size_t end;
    while ((end = text.find("\r\n\r\n")) == std::string::npos) {
      char buffer[4096];
      const ssize_t got = ::recv(fd, buffer, sizeof(buffer), 0);
      if (got <= 0 || (text.empty() && buffer[0] == 0x16)) {
        return;  // gone, or a TLS ClientHello
      }
      text.append(buffer, static_cast<size_t>(got));
    }
    Request request;
    const std::vector<std::string> lines =
        absl::StrSplit(text.substr(0, end), "\r\n");
    const std::vector<std::string> words = absl::StrSplit(lines[0], ' ');
    request.target = words.size() > 1 ? words[1] : "";
    for (size_t i = 1; i < lines.size(); ++i) {
      const std::pair<std::string, std::string> header =
          absl::StrSplit(lines[i], absl::MaxSplits(": ", 1));
      request.headers[absl::AsciiStrToLower(header.first)] = header.second;
    }
    request.body = text.substr(end + 4);
    Peer peer(fd);
    handler_(request, peer);
  }

  Handler handler_;
  os::UniqueFd listener_;
  int port_ = 0;
  std::thread acceptor_;
  std::vector<std::thread> threads_;  // the acceptor's until it is joined
  absl::Mutex mutex_;
  std::vector<os::UniqueFd> peers_;
};

}  // namespace quoll::image
