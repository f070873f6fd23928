// SPDX-License-Identifier: Apache-2.0
#include "runtime/test_node.h"

#include <cstdlib>
#include <filesystem>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"

#include "os/files.h"
#include "os/status_macros.h"

namespace quoll::runtime {

absl::StatusOr<std::vector<std::string>> MortalMounter::ListUnder(
    const std::string& prefix) const {
  QUOLL_ASSIGN_OR_RETURN(std::vector<std::string> found,
                         real_.ListUnder(prefix));
  std::error_code error;
  for (const auto& entry :
       std::filesystem::recursive_directory_iterator(pins_, error)) {
    if (entry.is_regular_file() &&
        entry.path().string().rfind(prefix, 0) == 0) {
      found.push_back(entry.path());
    }
  }
  return found;
}

TestNode::TestNode() {
  std::string pattern = ::testing::TempDir() + "quoll-node-XXXXXX";
  dir_ = ::mkdtemp(pattern.data());
  paths = {dir_ + "/state", dir_ + "/run"};
  options.paths = paths;
  options.pause_program = "/nonexistent/quoll-pause";
  for (const char* dir : {"/state", "/run", "/cgroup"}) {
    EXPECT_TRUE(os::MakeDirectories(dir_ + dir, 0755).ok());
  }
  // A v1 hierarchy is a plain tree of directories as far as this needs it.
  auto tree = CgroupTree::Detect(absl::StrCat(
      "30 20 0:27 / ", dir_, "/cgroup rw - cgroup cgroup rw,pids\n"));
  EXPECT_TRUE(tree.ok()) << tree.status();
  cgroups_ = std::make_unique<CgroupTree>(*std::move(tree));
  mortal_mounter_ =
      std::make_unique<MortalMounter>(fate, mounter, paths.AllNamespaces());
  oci.SetOnKill([this](const std::string& id, int signo) {
    monitors.End(id, {.exit_code = 128 + signo,
                      .signal = signo,
                      .oom_killed = false,
                      .finished_at_ns = absl::ToUnixNanos(absl::Now())});
  });
  EXPECT_TRUE(Restart().ok());
}

TestNode::~TestNode() {
  runtime_.reset();
  std::filesystem::remove_all(dir_);
}

absl::Status TestNode::Restart() {
  runtime_.reset();
  fate.Clear();
  runtime_ = std::make_unique<Runtime>(
      options, RuntimeParts{.records = mortal_records_,
                            .network = mortal_network_,
                            .monitors = mortal_monitors,
                            .mounter = *mortal_mounter_,
                            .host = mortal_host_,
                            .cgroups = *cgroups_,
                            .node = {},
                            .handlers = {{"runc", &mortal_oci_}},
                            .extensions = extensions});
  return runtime_->Recover();
}

void TestNode::Reboot() {
  runtime_.reset();
  monitors.Reboot();
  for (const auto& mount : mounter.mounted()) {
    EXPECT_TRUE(
        mounter.Unmount(mount.target, true, absl::InfiniteFuture()).ok());
  }
  for (const auto& [dir, request] : host.pinned()) {
    EXPECT_TRUE(host.Unpin(dir, absl::InfiniteFuture()).ok());
  }
  std::filesystem::remove_all(paths.run_dir);
  std::filesystem::create_directory(paths.run_dir);
  EXPECT_TRUE(Restart().ok());
}

SandboxSpec TestNode::PodSpec(const std::string& name) {
  SandboxSpec spec;
  spec.set_name(name);
  spec.set_uid("uid-of-" + name);
  spec.set_namespace_("default");
  spec.set_hostname(name);
  spec.set_log_directory("/var/log/pods/" + name);
  spec.mutable_dns()->add_servers("10.0.0.10");
  spec.mutable_namespaces()->set_pid(state::v1::NAMESPACE_CONTAINER);
  return spec;
}

ContainerSpec TestNode::ContainerSpecIn(const std::string& sandbox,
                                        const std::string& name) {
  ContainerSpec spec;
  spec.set_sandbox_id(sandbox);
  spec.set_name(name);
  spec.set_user_image("nginx:1");
  spec.add_command("/bin/nginx");
  spec.set_log_path(name + "/0.log");
  spec.mutable_namespaces()->set_pid(state::v1::NAMESPACE_CONTAINER);
  spec.mutable_rootfs()->add_layer_dirs("/layers/base");
  return spec;
}

std::string TestNode::MakeSandbox() {
  auto record = sandboxes().Run(PodSpec(), {});
  EXPECT_TRUE(record.ok()) << record.status();
  return record.ok() ? record->id() : "";
}

std::string TestNode::MakeContainer(const std::string& sandbox) {
  auto record = containers().Create(ContainerSpecIn(sandbox), {}, nullptr);
  EXPECT_TRUE(record.ok()) << record.status();
  return record.ok() ? record->id() : "";
}

std::string TestNode::MakeRunning(const std::string& sandbox) {
  std::string id = MakeContainer(sandbox);
  const absl::Status started = containers().Start(id, {});
  EXPECT_TRUE(started.ok()) << started;
  return id;
}

std::string TestNode::Leftovers() {
  std::string left;
  const auto loaded = records.LoadAll();
  for (const SandboxRecord& record : loaded->sandboxes) {
    absl::StrAppend(&left, "sandbox ", record.id(), " in phase ",
                    record.phase(), "\n");
  }
  for (const ContainerRecord& record : loaded->containers) {
    absl::StrAppend(&left, "container ", record.id(), " in phase ",
                    record.phase(), "\n");
  }
  for (const auto& mount : mounter.mounted()) {
    absl::StrAppend(&left, "mount ", mount.target, "\n");
  }
  for (const auto& [dir, request] : host.pinned()) {
    absl::StrAppend(&left, "pins in ", dir, "\n");
  }
  for (const std::string& id : network.Attached()) {
    absl::StrAppend(&left, "network of ", id, "\n");
  }
  for (const std::string& id : monitors.running()) {
    absl::StrAppend(&left, "monitor of ", id, "\n");
  }
  const std::string cgroups = dir_ + "/cgroup/quoll";
  for (const std::string& dir :
       {cgroups, paths.ContainersRun(), paths.ContainersState(),
        paths.SandboxesRun(), paths.AllNamespaces(), paths.AllVolumes()}) {
    const auto names = os::ListDirectory(dir);
    for (const std::string& name :
         names.ok() ? *names : std::vector<std::string>()) {
      absl::StrAppend(&left, dir, "/", name, "\n");
    }
  }
  return left;
}

bool TestNode::Eventually(const std::function<bool()>& condition) {
  const absl::Time deadline = absl::Now() + absl::Seconds(10);
  while (!condition()) {
    if (absl::Now() > deadline) {
      return false;
    }
    absl::SleepFor(absl::Milliseconds(2));
  }
  return true;
}

}  // namespace quoll::runtime
