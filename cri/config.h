// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"

namespace quoll::cri {

struct ByteSize {
  int64_t bytes = 0;
  bool operator==(const ByteSize&) const = default;
};

// quoll.toml as values; a default-constructed one is what an empty file means.
// What each key is for is written once, in config_schema.cc, from where
// packaging/quoll.toml is made. Only daemon.cc and main.cc read this struct:
// everything else is given options of its own.
struct Config {
  std::string state_dir = "/var/lib/quoll";
  std::string run_dir = "/run/quoll";
  std::string socket;       // "": RUN_DIR/quoll.sock
  std::string libexec_dir;  // "": found beside the program

  struct Log {
    std::string level = "info";
    std::string format = "text";
    bool operator==(const Log&) const = default;
  } log;

  struct Cgroup {
    std::string driver = "cgroupfs";
    bool operator==(const Cgroup&) const = default;
  } cgroup;

  struct Runtime {
    std::string default_handler = "runc";
    std::string missing_host_path = "create";
    std::vector<std::string> never_create_host_paths;
    ByteSize shm_size{int64_t{64} << 20};
    absl::Duration host_path_timeout = absl::Seconds(10);
    absl::Duration oci_timeout = absl::Seconds(60);
    std::map<std::string, std::string> default_sysctls;
    bool operator==(const Runtime&) const = default;
  } runtime;

  struct Handler {
    std::string program;  // a path, or a name that is looked up
    std::vector<std::string> args;
    bool operator==(const Handler&) const = default;
  };
  std::map<std::string, Handler> runtimes = {{"crun", {"crun", {}}},
                                             {"runc", {"runc", {}}}};

  struct Network {
    std::string conf_dir = "/etc/cni/net.d";
    std::vector<std::string> bin_dirs = {"/opt/cni/bin", "/usr/lib/cni"};
    absl::Duration timeout = absl::Seconds(60);
    bool operator==(const Network&) const = default;
  } network;

  struct Image {
    std::vector<std::string> plain_http;
    int64_t parallel_layers = 6;
    std::string ca_file;
    std::vector<std::string> pinned;
    bool operator==(const Image&) const = default;
  } image;

  std::string SocketPath() const {
    return socket.empty() ? run_dir + "/quoll.sock" : socket;
  }
  bool operator==(const Config&) const = default;
};

// `name` is what errors call the text. InvalidArgument "NAME:LINE:COLUMN: what
// is wrong", with the nearest known key where one is misspelt.
absl::StatusOr<Config> ParseConfig(absl::string_view text,
                                   const std::string& name);

// Reads a file. One that is not there is the defaults when `optional`, else
// NotFound.
absl::StatusOr<Config> LoadConfig(const std::string& path, bool optional);

enum class DumpStyle {
  kValues,        // every key with its value: what is in effect
  kCommentedOut,  // the same, each key behind a '#': a file to start from
};
// The configuration as TOML, each key explained. What it gives is read back to
// an equal Config.
std::string DumpConfig(const Config& config, DumpStyle style);

// The same as a JSON text.
std::string ConfigJson(const Config& config);

}  // namespace quoll::cri
