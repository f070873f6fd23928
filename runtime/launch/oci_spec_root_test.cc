// SPDX-License-Identifier: Apache-2.0
// Runs containers from built specs under the real OCI runtimes and looks
// around inside.
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/time/clock.h"

#include "os/files.h"
#include "os/process.h"
#include "os/random_id.h"
#include "runtime/launch/cgroup_tree.h"
#include "runtime/launch/fake_spec_input.h"
#include "runtime/launch/oci_parts.h"
#include "tests/support/status_matchers.h"
#include "tests/support/temp_dir.h"

namespace quoll::runtime {
namespace {

using quoll::testing::IsOk;
using ::testing::HasSubstr;

class OciSpecRootTest : public ::testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    if (geteuid() != 0) {
      GTEST_SKIP() << "needs root";
    }
    MakeRootfs();
    PinNamespaces();
    fake_.node = DetectNode("");
    fake_.rootfs = dir_ / "rootfs";
    fake_.spec().clear_command();
    fake_.security().mutable_seccomp()->set_kind(
        state::v1::SecurityProfile::RUNTIME_DEFAULT);
    fake_.security().set_no_new_privs(true);
  }
  void TearDown() override {
    for (const char* name : {"net", "uts", "ipc"}) {
      const std::string path = dir_ / absl::StrCat("ns/", name);
      ::umount2(path.c_str(), MNT_DETACH);
    }
    const auto tree = CgroupTree::Detect(*os::ReadFile("/proc/self/mountinfo"));
    ASSERT_THAT(tree, IsOk());
    EXPECT_THAT(tree->Remove(cgroup_, absl::Now() + absl::Seconds(10)), IsOk());
  }

  void MakeRootfs() {
    namespace fs = std::filesystem;
    for (const char* name :
         {"rootfs/bin", "rootfs/etc", "rootfs/proc", "rootfs/dev", "rootfs/sys",
          "ns", "shm", "vol", "bundle", "state"}) {
      fs::create_directories(dir_ / name);
    }
    fs::copy_file("/bin/busybox", dir_ / "rootfs/bin/busybox");
    for (const char* applet : {"sh", "cat", "grep", "id", "hostname", "mount",
                               "touch", "env", "unshare", "ls"}) {
      fs::create_symlink("busybox", dir_ / absl::StrCat("rootfs/bin/", applet));
    }
    std::ofstream(dir_ / "rootfs/etc/passwd") << "root:x:0:0::/root:/bin/sh\n"
                                                 "app:x:1000:1000::/srv:\n";
    std::ofstream(dir_ / "resolv.conf") << "nameserver 192.0.2.1\n";
    std::ofstream(dir_ / "hostname") << "web-0\n";
    std::ofstream(dir_ / "vol/file") << "from the volume\n";
  }

  os::CommandResult Run(std::vector<std::string> argv) {
    os::CommandRequest request;
    request.spawn.argv = std::move(argv);
    request.spawn.env = {"PATH=/usr/sbin:/usr/bin:/sbin:/bin"};
    request.deadline = absl::Now() + absl::Seconds(60);
    auto result = os::RunCommand(request);
    EXPECT_THAT(result, IsOk());
    return result.ok() ? *std::move(result) : os::CommandResult{};
  }

  void PinNamespaces() {
    for (const char* name : {"net", "uts", "ipc"}) {
      std::ofstream(dir_ / absl::StrCat("ns/", name)).flush();
    }
    const auto made =
        Run({"/usr/bin/unshare", "--net=" + (dir_ / "ns/net"),
             "--uts=" + (dir_ / "ns/uts"), "--ipc=" + (dir_ / "ns/ipc"),
             "/bin/hostname", "web-0"});
    ASSERT_EQ(made.exit.ShellCode(), 0) << made.err;
  }

  // Writes config.json and runs it to its end; stdout and stderr of both the
  // container and the runtime.
  std::string RunContainer(const std::string& script) {
    fake_.spec().clear_command();
    for (const std::string& word :
         {std::string("/bin/sh"), std::string("-c"), script}) {
      fake_.spec().add_command(word);
    }
    const SpecInput input{
        fake_.sandbox,        fake_.container,   fake_.node,
        fake_.rootfs,         dir_ / "ns",       "",
        dir_ / "resolv.conf", dir_ / "hostname", dir_ / "shm",
        fake_.mount_sources,  fake_.devices,     fake_.patches,
        cgroup_ + "/c"};
    const auto spec = BuildOciSpec(input);
    EXPECT_THAT(spec, IsOk());
    std::ofstream(dir_ / "bundle/config.json") << spec.value_or("");
    // crun refuses the hybrid cgroup layout, which it tells by this mount.
    const std::string command =
        absl::StrCat("umount /sys/fs/cgroup/unified 2>/dev/null && ",
                     "mount -t tmpfs tmpfs /sys/fs/cgroup/unified; exec ",
                     GetParam(), " --root ", dir_ / "state", " run --bundle ",
                     dir_ / "bundle", " ", "quoll-test-", id_, " 2>&1");
    const auto result =
        Run({"/usr/bin/unshare", "-m", "/bin/sh", "-c", command});
    EXPECT_EQ(result.exit.ShellCode(), 0) << result.out << result.err;
    return result.out;
  }

  FakeSpecInput fake_;
  const std::string id_ = os::RandomHexId(6);
  const std::string cgroup_ = "/quoll-test-" + id_;
  quoll::testing::TempDir dir_;
};

TEST_P(OciSpecRootTest, LooksRightFromInside) {
  fake_.container.mutable_effective_user()->set_uid(0);
  fake_.container.mutable_effective_user()->set_gid(0);
  fake_.container.mutable_effective_user()->add_supplemental_groups(4000);
  fake_.security().add_drop_capabilities("ALL");
  fake_.security().add_add_capabilities("NET_BIND_SERVICE");
  fake_.security().add_masked_paths("/proc/version");
  fake_.security().add_readonly_paths("/proc/sys");
  fake_.security().set_readonly_rootfs(true);
  fake_.spec().mutable_resources()->set_memory_limit_bytes(64 << 20);
  fake_.spec().mutable_resources()->set_cpu_shares(512);
  auto* variable = fake_.spec().add_env();
  variable->set_name("GREETING");
  variable->set_value("hello world");
  fake_.AddMount(dir_ / "vol", "/vol").set_readonly(true);

  const std::string seen = RunContainer(
      "grep -E '^(Cap|NoNewPrivs|Seccomp:)' /proc/self/status; id; env; "
      "hostname; cat /vol/file /etc/resolv.conf /etc/hostname; "
      "touch /x || echo rootfs-ro; touch /vol/x || echo vol-ro; "
      "touch /dev/shm/x && echo shm-rw; "
      "echo 1 >/proc/sys/kernel/panic || echo sys-ro; "
      "unshare -U true || echo no-userns; mount; ls /dev; "
      "echo version=$(cat /proc/version)=");
  EXPECT_THAT(seen, HasSubstr("CapEff:\t0000000000000400"));
  EXPECT_THAT(seen, HasSubstr("CapBnd:\t0000000000000400"));
  EXPECT_THAT(seen, HasSubstr("CapInh:\t0000000000000000"));
  EXPECT_THAT(seen, HasSubstr("CapAmb:\t0000000000000000"));
  EXPECT_THAT(seen, HasSubstr("NoNewPrivs:\t1"));
  EXPECT_THAT(seen, HasSubstr("Seccomp:\t2"));
  EXPECT_THAT(seen, HasSubstr("uid=0"));
  EXPECT_THAT(seen, HasSubstr("4000"));
  EXPECT_THAT(seen, HasSubstr("GREETING=hello world"));
  EXPECT_THAT(seen, HasSubstr("HOSTNAME=web-0"));
  EXPECT_THAT(seen, HasSubstr("HOME=/root"));
  EXPECT_THAT(seen, HasSubstr("\nweb-0\n"));
  EXPECT_THAT(seen, HasSubstr("from the volume"));
  EXPECT_THAT(seen, HasSubstr("nameserver 192.0.2.1"));
  for (const char* word :
       {"rootfs-ro", "vol-ro", "shm-rw", "sys-ro", "no-userns"}) {
    EXPECT_THAT(seen, HasSubstr(word));
  }
  EXPECT_THAT(seen, HasSubstr("on /dev/pts type devpts"));
  EXPECT_THAT(seen, HasSubstr("on /dev/mqueue type mqueue"));
  EXPECT_THAT(seen, HasSubstr("version=="));
  EXPECT_TRUE(os::Exists(dir_ / "shm/x"));
}

TEST_P(OciSpecRootTest, OrdinaryUserHoldsNothing) {
  fake_.container.mutable_effective_user()->set_uid(1000);
  fake_.container.mutable_effective_user()->set_gid(1000);
  const std::string seen = RunContainer("id; grep Cap /proc/self/status; env");
  EXPECT_THAT(seen, HasSubstr("uid=1000"));
  EXPECT_THAT(seen, HasSubstr("CapEff:\t0000000000000000"));
  EXPECT_THAT(seen, HasSubstr("CapAmb:\t0000000000000000"));
  EXPECT_THAT(seen, HasSubstr("HOME=/srv"));
}

TEST_P(OciSpecRootTest, PrivilegedHoldsWhatTheDaemonHolds) {
  fake_.Privilege();
  fake_.container.mutable_effective_user()->set_uid(0);
  const std::string seen = RunContainer(
      "grep -E 'CapEff|Seccomp:' /proc/self/status; ls /dev; mount");
  EXPECT_THAT(seen, HasSubstr("Seccomp:\t0"));
  const std::string own = *os::ReadFile("/proc/self/status");
  const size_t at = own.find("CapEff:");
  EXPECT_THAT(seen, HasSubstr(own.substr(at, own.find('\n', at) - at)));
  EXPECT_THAT(seen, HasSubstr("on /sys type sysfs (rw"));
}

TEST(HostDevicesRootTest, WalksDevButNotWhatContainersHaveThemselves) {
  if (geteuid() != 0) {
    GTEST_SKIP() << "needs root";
  }
  quoll::testing::TempDir dev;
  for (const char* name : {"net", "pts", "shm"}) {
    std::filesystem::create_directories(dev / name);
  }
  for (const char* name :
       {"null", "net/tun", "pts/0", "shm/0", "console", "ptmx"}) {
    ASSERT_EQ(::mknod((dev / name).c_str(), S_IFCHR | 0640, makedev(1, 3)), 0);
  }
  std::filesystem::create_symlink("null", dev / "link");
  std::ofstream(dev / "file") << "no device";
  FakeSpecInput fake;
  fake.Privilege();
  const auto part = DevicesJson(fake.Input(), dev.path());
  ASSERT_THAT(part, IsOk());
  std::vector<std::string> paths;
  for (const nlohmann::json& node : part->nodes) {
    paths.push_back(node["path"]);
    EXPECT_EQ(node["type"], "c");
    EXPECT_EQ(node["major"], 1);
    EXPECT_EQ(node["minor"], 3);
  }
  EXPECT_THAT(paths,
              ::testing::UnorderedElementsAre("/dev/null", "/dev/net/tun"));
}

INSTANTIATE_TEST_SUITE_P(Runtimes, OciSpecRootTest,
                         ::testing::Values("runc", "crun"));

}  // namespace
}  // namespace quoll::runtime
