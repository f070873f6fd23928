// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <map>
#include <set>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"

#include "image/image_service.h"
#include "runtime/network/pod_network.h"
#include "runtime/services.h"

namespace quoll::cri {

// What the kubelet has told the node (UpdateRuntimeConfig). Kept in memory
// only: the kubelet tells it again after every restart. Thread-safe.
class NodeSettings {
 public:
  void set_pod_cidr(absl::string_view cidr) {
    absl::MutexLock lock(&mutex_);
    pod_cidr_ = std::string(cidr);
  }
  std::string pod_cidr() const {
    absl::MutexLock lock(&mutex_);
    return pod_cidr_;
  }

 private:
  mutable absl::Mutex mutex_;
  std::string pod_cidr_ ABSL_GUARDED_BY(mutex_);
};

// Facts about this daemon that do not change while it runs.
struct DaemonFacts {
  std::string version;
  std::string default_handler;
  std::map<std::string, std::string> handlers;  // name -> program
  std::string config_json;                      // the effective configuration
  // Long forms ("docker.io/library/nginx:1.25") of the images that the
  // configuration pins.
  std::set<std::string> pinned_images;
};

// Everything that an RPC works with. Borrowed; outlives the server.
struct Backends {
  runtime::SandboxService& sandboxes;
  runtime::ContainerService& containers;
  image::ImageService& images;
  const runtime::PodNetwork& network;
  NodeSettings& settings;
  const DaemonFacts& facts;
};

}  // namespace quoll::cri
