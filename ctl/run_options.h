// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"

#include "proto/runtime/v1/api.pb.h"

// The command line of `quollctl run`, and what it asks the daemon for. Pure.
namespace quoll::ctl {

struct RunOptions {
  std::string image;
  std::string name;
  std::string name_space = "default";
  bool host_network = false;
  std::vector<std::string> ports;   // HOSTPORT:PORT[/tcp|/udp|/sctp]
  std::vector<std::string> env;     // NAME=VALUE
  std::vector<std::string> mounts;  // HOSTPATH:PATH[:ro]
  std::string handler;
  bool pull = false;
};

// InvalidArgument repeats the word that cannot be read and the form it should
// have.
absl::StatusOr<::runtime::v1::PodSandboxConfig> ToPodConfig(
    const RunOptions& options, const std::string& uid,
    const std::string& log_directory);

// `words` are the container's arguments. Without the image, which is looked up
// first.
absl::StatusOr<::runtime::v1::ContainerConfig> ToContainerConfig(
    const RunOptions& options, const std::vector<std::string>& words);

}  // namespace quoll::ctl
