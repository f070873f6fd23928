// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "absl/status/statusor.h"

#include "ctl/client.h"

namespace quoll::ctl {

// What a person means by a word on the command line.
struct Target {
  enum class Kind { kPod, kContainer } kind = Kind::kPod;
  std::string id;
  std::string name;
  std::string pod;  // a container's pod, by id
};

// "pod 0123456789ab (NAME)", for messages.
std::string Describe(const Target& target);

// Which of these a command takes.
enum class Accept { kPods, kContainers, kBoth };

// The pod or container with this id, this prefix of an id, or this name. An
// exact id or name wins over a prefix. A container may be named POD/NAME where
// its own name is not enough; a name that a pod shares with its own containers
// (`quollctl run` makes such pods) means the pod. NotFound; InvalidArgument
// when several match.
absl::StatusOr<Target> Resolve(Client& client, const std::string& word,
                               Accept accept);

// The choice itself, without the daemon.
absl::StatusOr<Target> Choose(const criv1::ListPodSandboxResponse& pods,
                              const criv1::ListContainersResponse& containers,
                              const std::string& word, Accept accept);

}  // namespace quoll::ctl
