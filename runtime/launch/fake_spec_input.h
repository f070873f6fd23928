// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"

#include "runtime/launch/oci_spec.h"

#include <nlohmann/json.hpp>

namespace quoll::runtime {

// A plain pod and container to which a test adds what it is about. For tests
// of this folder only.
struct FakeSpecInput {
  FakeSpecInput() {
    sandbox.set_id("5a");
    sandbox.mutable_spec()->set_name("web");
    sandbox.mutable_spec()->set_namespace_("default");
    sandbox.mutable_spec()->set_uid("u1");
    sandbox.mutable_spec()->set_hostname("web-0");
    container.set_id("c0");
    spec().set_name("app");
    spec().add_command("/bin/app");
    spec().mutable_namespaces()->set_pid(state::v1::NAMESPACE_CONTAINER);
    container.mutable_effective_user()->set_uid(0);
    node.capabilities = {"CAP_CHOWN",   "CAP_KILL",      "CAP_NET_ADMIN",
                         "CAP_NET_RAW", "CAP_SYS_ADMIN", "CAP_SYS_CHROOT"};
  }

  state::v1::ContainerSpec& spec() { return *container.mutable_spec(); }
  state::v1::Security& security() { return *spec().mutable_security(); }
  void Privilege() {
    sandbox.mutable_spec()->set_privileged(true);
    security().set_privileged(true);
  }
  state::v1::MountRequest& AddMount(const std::string& host,
                                    const std::string& inside) {
    os::HostActions::HostPath source;
    source.resolved = host;
    source.is_directory = true;
    mount_sources.push_back(source);
    state::v1::MountRequest& mount = *spec().add_mounts();
    mount.set_host_path(host);
    mount.set_container_path(inside);
    return mount;
  }

  SpecInput Input() const {
    return SpecInput{sandbox,  container, node,        rootfs,   "/run/ns",
                     pid_path, "/p/res",  "/p/host",   "/p/shm", mount_sources,
                     devices,  patches,   "/pods/p/c0"};
  }
  // The parsed result of BuildOciSpec.
  absl::StatusOr<nlohmann::json> Build() const {
    absl::StatusOr<std::string> text = BuildOciSpec(Input());
    if (!text.ok()) {
      return text.status();
    }
    return nlohmann::json::parse(*text, nullptr, false);
  }

  SandboxRecord sandbox;
  ContainerRecord container;
  NodeFeatures node;
  std::string rootfs = "/r";
  std::string pid_path;
  std::vector<os::HostActions::HostPath> mount_sources;
  std::vector<SpecInput::Device> devices;
  std::vector<LaunchPatch> patches;
};

}  // namespace quoll::runtime
