// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"

#include "os/helper.h"
#include "os/mount.h"
#include "runtime/extension.h"
#include "runtime/launch/cgroup_tree.h"
#include "runtime/launch/oci_spec.h"
#include "runtime/monitor/monitors.h"
#include "runtime/monitor/oci_runtime.h"
#include "runtime/network/pod_network.h"
#include "runtime/paths.h"
#include "runtime/record_store.h"
#include "runtime/services.h"

namespace quoll::runtime {

struct RuntimeOptions {
  Paths paths;
  std::string default_handler = "runc";
  std::string pause_program;  // absolute path of quoll-pause
  // A hostPath that is not there: make a directory, or refuse the container.
  bool create_missing_host_paths = true;
  // Never created, nor anything below (with the reason that the node's admin
  // mounts them): "/mnt/nfs".
  std::vector<std::string> never_create_host_paths;
  int64_t shm_bytes = int64_t{64} << 20;
  absl::Duration network_timeout = absl::Seconds(60);    // one ADD or DEL
  absl::Duration host_path_timeout = absl::Seconds(10);  // one look at a path
  absl::Duration runtime_timeout = absl::Seconds(60);    // one OCI command
  std::map<std::string, std::string> default_sysctls;
};

// What it works with. Borrowed; must outlive the Runtime.
struct RuntimeParts {
  RecordStore& records;
  PodNetwork& network;
  Monitors& monitors;
  os::Mounter& mounter;
  os::HostActions& host;
  const CgroupTree& cgroups;
  NodeFeatures node;
  std::map<std::string, OciRuntime*> handlers;  // by handler name
  std::vector<ContainerExtension*> extensions;  // in order
};

// Sandboxes and containers on this node. Implementations of the two services
// share one table of what exists; this owns all of it. Thread-safe.
class Runtime {
 public:
  Runtime(RuntimeOptions options, RuntimeParts parts);
  // Waits for operations that run. Containers, mounts and namespaces stay.
  ~Runtime();

  // The only way up: after a start, a crash, a reboot. Adopts what lives,
  // finishes what was begun, undoes what was never committed. Never kills on
  // doubt. Must return before the first call to a service.
  absl::Status Recover();

  SandboxService& sandboxes();
  ContainerService& containers();

  // Layer directories that recorded containers stand on. FailedPrecondition
  // while there is a record that cannot be read: it may stand on any.
  absl::StatusOr<std::set<std::string>> LayersInUse() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace quoll::runtime
