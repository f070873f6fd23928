// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <map>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"

#include "os/mount.h"
#include "os/process.h"

// Calls that can hang, or that only a single-threaded process may make
// (unshare, setns of mount namespaces), run in `quoll-helper`: one short run
// per call, killed and abandoned at the deadline. These are the daemon's side
// of its sub-commands; os/helper/ is the program.
namespace quoll::os {

// What one run of the program is asked, and its standard output. A run that
// fails prints one line "CODE message" on stderr (CODE an absl::StatusCode
// number), which becomes the returned status.
class Helper {
 public:
  // `program` is the absolute path of quoll-helper. No I/O.
  explicit Helper(std::string program) : program_(std::move(program)) {}

  absl::StatusOr<std::string> Run(const std::vector<std::string>& args,
                                  absl::Time deadline) const;

 private:
  std::string program_;
};

// Mounter by quoll-helper: new mount API where the kernel has it (overlay with
// "lowerdir+", Linux 6.5), else mount(2); when the layer list does not fit into
// mount(2)'s page, layers are named by /proc/self/fd.
class HelperMounter : public Mounter {
 public:
  explicit HelperMounter(const Helper& helper) : helper_(helper) {}
  absl::Status Mount(const MountSpec& spec, absl::Time deadline) override;
  absl::Status MountOverlay(const OverlaySpec& spec,
                            absl::Time deadline) override;
  absl::Status Unmount(const std::string& target, bool lazy,
                       absl::Time deadline) override;
  absl::StatusOr<std::vector<std::string>> ListUnder(
      const std::string& prefix) const override;

 private:
  const Helper& helper_;
};

// The namespaces of a pod, pinned by bind mounts `dir`/{net,ipc,uts,pid}.
struct PinRequest {
  std::string dir;  // exists
  bool net = false;
  bool ipc = false;
  bool uts = false;
  bool pid = false;      // starts `pause_program` as PID 1 of the new namespace
  std::string hostname;  // with uts
  std::map<std::string, std::string> sysctls;  // "net.ipv4.ip_forward" -> "1"
  std::string pause_program;                   // with pid; absolute
  // Where pause is put (cgroup.procs files), so that it is the pod's.
  std::vector<std::string> pause_cgroup_procs_files;
};

struct PinnedNamespaces {
  ProcessIdentity pause;  // pid 0 without a PID namespace
};

// What the daemon asks of namespaces and of paths that it does not own.
// Thread-safe; blocks until the deadline at most.
class HostActions {
 public:
  virtual ~HostActions() = default;

  // On error nothing is left pinned. A sysctl that the new namespaces do not
  // own (kernel.pid_max, say) is InvalidArgument and names it. Loopback is up
  // in a new network namespace. AlreadyExists when `dir` holds pins: Unpin
  // first; they are left alone.
  virtual absl::StatusOr<PinnedNamespaces> Pin(const PinRequest& request,
                                               absl::Time deadline) = 0;

  // Unmounts and removes every pin in `dir`, and `dir`. Kills PID 1 of a pinned
  // PID namespace, and with it every process there: what a Pin that nobody took
  // the answer of has started is found again. Idempotent.
  virtual absl::Status Unpin(const std::string& dir, absl::Time deadline) = 0;

  struct HostPath {
    std::string resolved;  // symlinks followed
    bool is_directory = false;
    bool is_block_device = false;
    bool is_char_device = false;
    uint32_t device_major = 0;  // of a device
    uint32_t device_minor = 0;
    bool created = false;
  };
  // Looks at a path that may be on a dead server. With `create_missing` a
  // missing one is made as a directory (0755), parents included; else NotFound.
  virtual absl::StatusOr<HostPath> ProbePath(const std::string& path,
                                             bool create_missing,
                                             absl::Time deadline) = 0;
};

class HelperHostActions : public HostActions {
 public:
  explicit HelperHostActions(const Helper& helper) : helper_(helper) {}
  absl::StatusOr<PinnedNamespaces> Pin(const PinRequest& request,
                                       absl::Time deadline) override;
  absl::Status Unpin(const std::string& dir, absl::Time deadline) override;
  absl::StatusOr<HostPath> ProbePath(const std::string& path,
                                     bool create_missing,
                                     absl::Time deadline) override;

 private:
  const Helper& helper_;
};

}  // namespace quoll::os
