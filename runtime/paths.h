// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"

// Every path that the runtime writes. Nothing else builds one.
//
//   STATE (/var/lib/quoll)                  survives a reboot
//   ├── quoll.db                            records (os/record_db.h)
//   ├── layers/                             image/ owns it
//   ├── containers/ID/{upper,work,empty}    writable layer
//   └── volumes/ID/N/                       anonymous volumes of the image
//   RUN (/run/quoll)                        gone after a reboot
//   ├── quoll.sock                          gRPC
//   ├── boot_id                             the boot all this belongs to
//   ├── ns/SANDBOX/{net,ipc,uts,pid}        pinned namespaces
//   ├── sandboxes/SANDBOX/{resolv.conf,hostname,shm/}
//   ├── containers/ID/
//   │   ├── config.json, rootfs/            OCI bundle
//   │   ├── monitor.sock, monitor.conf      runtime/monitor/
//   │   ├── init.pid                        written by the OCI runtime
//   │   ├── runtime.log                     the OCI runtime's own log (JSON)
//   │   └── exit                            exit record, written once
//   └── oci/HANDLER/                        --root of the OCI runtime
namespace quoll::runtime {

struct Paths {
  std::string state_dir;  // absolute
  std::string run_dir;    // absolute, on tmpfs

  std::string ContainersState() const {
    return absl::StrCat(state_dir, "/containers");
  }
  std::string ContainerState(absl::string_view id) const {
    return absl::StrCat(state_dir, "/containers/", id);
  }
  std::string Upper(absl::string_view id) const {
    return absl::StrCat(ContainerState(id), "/upper");
  }
  std::string Work(absl::string_view id) const {
    return absl::StrCat(ContainerState(id), "/work");
  }
  std::string Volumes(absl::string_view id) const {
    return absl::StrCat(state_dir, "/volumes/", id);
  }
  std::string Namespaces(absl::string_view sandbox) const {
    return absl::StrCat(run_dir, "/ns/", sandbox);
  }
  std::string SandboxRun(absl::string_view sandbox) const {
    return absl::StrCat(run_dir, "/sandboxes/", sandbox);
  }
  std::string ContainerRun(absl::string_view id) const {
    return absl::StrCat(run_dir, "/containers/", id);
  }
  std::string Rootfs(absl::string_view id) const {
    return absl::StrCat(ContainerRun(id), "/rootfs");
  }
  std::string ConfigJson(absl::string_view id) const {
    return absl::StrCat(ContainerRun(id), "/config.json");
  }
  // Lower layer of a container whose image has none.
  std::string EmptyLayer(absl::string_view id) const {
    return absl::StrCat(ContainerState(id), "/empty");
  }
  std::string ResolvConf(absl::string_view sandbox) const {
    return absl::StrCat(SandboxRun(sandbox), "/resolv.conf");
  }
  std::string HostnameFile(absl::string_view sandbox) const {
    return absl::StrCat(SandboxRun(sandbox), "/hostname");
  }
  std::string Shm(absl::string_view sandbox) const {
    return absl::StrCat(SandboxRun(sandbox), "/shm");
  }
  // Parents of the above, for the search for what nobody knows any more.
  std::string ContainersRun() const {
    return absl::StrCat(run_dir, "/containers");
  }
  std::string SandboxesRun() const {
    return absl::StrCat(run_dir, "/sandboxes");
  }
  std::string AllNamespaces() const { return absl::StrCat(run_dir, "/ns"); }
  std::string AllVolumes() const { return absl::StrCat(state_dir, "/volumes"); }
  // The boot in which RUN was written.
  std::string BootId() const { return absl::StrCat(run_dir, "/boot_id"); }
  std::string OciRoot(absl::string_view handler) const {
    return absl::StrCat(run_dir, "/oci/", handler);
  }
};

}  // namespace quoll::runtime
