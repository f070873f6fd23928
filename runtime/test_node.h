// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "os/fake_host_actions.h"
#include "os/fake_mounter.h"
#include "runtime/fake_record_store.h"
#include "runtime/monitor/fake_monitors.h"
#include "runtime/monitor/fake_oci_runtime.h"
#include "runtime/mortal_parts.h"
#include "runtime/network/fake_pod_network.h"
#include "runtime/runtime.h"

namespace quoll::runtime {

// A node for tests: fakes all around a real Runtime, which can be killed and
// started again. Killed containers end at once.
class TestNode {
 public:
  TestNode();
  ~TestNode();

  // Starts the daemon anew on what is there; kills the old one first.
  absl::Status Restart();
  // What the last boot left is gone, but for what is on the disk.
  void Reboot();
  Runtime& runtime() { return *runtime_; }
  const CgroupTree& cgroups() const { return *cgroups_; }
  SandboxService& sandboxes() { return runtime_->sandboxes(); }
  ContainerService& containers() { return runtime_->containers(); }

  static SandboxSpec PodSpec(const std::string& name = "web");
  static ContainerSpec ContainerSpecIn(const std::string& sandbox,
                                       const std::string& name = "nginx");
  std::string MakeSandbox();
  std::string MakeContainer(const std::string& sandbox);
  std::string MakeRunning(const std::string& sandbox);

  // Nothing of any kind is left: records, mounts, pins, attachments, monitors,
  // cgroups, directories. "" or what is there.
  std::string Leftovers();
  // Waits for what goes on in the background; false after 10 s.
  static bool Eventually(const std::function<bool()>& condition);

  Paths paths;
  RuntimeOptions options;
  Fate fate;
  FakeRecordStore records;
  os::FakeMounter mounter;
  os::FakeHostActions host;
  FakePodNetwork network;
  FakeMonitors monitors;
  FakeOciRuntime oci;
  std::vector<ContainerExtension*> extensions;
  MortalMonitors mortal_monitors{fate, monitors};

 private:
  std::string dir_;
  std::unique_ptr<CgroupTree> cgroups_;
  MortalRecordStore mortal_records_{fate, records};
  std::unique_ptr<MortalMounter> mortal_mounter_;
  MortalHost mortal_host_{fate, host};
  MortalNetwork mortal_network_{fate, network};
  MortalOciRuntime mortal_oci_{fate, oci};
  std::unique_ptr<Runtime> runtime_;
};

}  // namespace quoll::runtime
