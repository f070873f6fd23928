// SPDX-License-Identifier: Apache-2.0
// quoll-helper and quoll-pause on the real kernel.
#include "os/helper.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <memory>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include "os/files.h"
#include "os/host_actions_contract.h"
#include "os/mounter_contract.h"
#include "tests/support/status_matchers.h"
#include "tests/support/temp_dir.h"

namespace quoll::os {
namespace {

using ::quoll::testing::IsOk;
using ::quoll::testing::IsOkAndHolds;
using ::quoll::testing::StatusIs;
using ::quoll::testing::TempDir;
using ::testing::AllOf;
using ::testing::HasSubstr;

std::string Program(const std::string& name) {
  const char* const bin = getenv("QUOLL_BIN_DIR");
  return absl::StrCat(bin == nullptr ? "." : bin, "/", name);
}

absl::Time Soon() {
  return absl::Now() + absl::Seconds(30);
}

// Overlays do not stand on overlays (upper) nor on every temporary directory,
// so a tmpfs of its own.
struct Scratch {
  Scratch() {
    EXPECT_EQ(::mount("test", dir.path().c_str(), "tmpfs", 0, ""), 0);
  }
  ~Scratch() {
    for (int i = 0; i < 100 && umount2(dir.path().c_str(), 0) != 0; ++i) {
      // What a failed test has left is below; deepest is not known here.
      umount2(dir.path().c_str(), MNT_DETACH);
    }
  }
  TempDir dir;
};

template <typename Interface, typename Real>
struct RealFactory {
  std::unique_ptr<Interface> Create() { return std::make_unique<Real>(helper); }
  // Below, not the mount itself: the contract lists what is under it.
  std::string Scratch() {
    const std::string path = scratch.dir / "scratch";
    EXPECT_EQ(mkdir(path.c_str(), 0755), 0);
    return path;
  }
  struct Scratch scratch;
  Helper helper{Program("quoll-helper")};
};

using MounterFactory = RealFactory<Mounter, HelperMounter>;
using HostFactory = RealFactory<HostActions, HelperHostActions>;
INSTANTIATE_TYPED_TEST_SUITE_P(Kernel, MounterContract, MounterFactory);
INSTANTIATE_TYPED_TEST_SUITE_P(Kernel, HostActionsContract, HostFactory);

class HelperTest : public ::testing::Test {
 protected:
  std::string Dir(const std::string& name) {
    const std::string path = scratch_.dir / name;
    EXPECT_THAT(MakeDirectories(path, 0755), IsOk());
    return path;
  }
  std::string Layer(const std::string& name) {
    const std::string path = Dir(name);
    EXPECT_THAT(ReplaceFile(path + "/who", name, 0644), IsOk());
    EXPECT_THAT(
        ReplaceFile(path + "/only-" + std::to_string(++layers_), "x", 0644),
        IsOk());
    return path;
  }

  Scratch scratch_;
  Helper helper_{Program("quoll-helper")};
  HelperMounter mounter_{helper_};
  HelperHostActions host_{helper_};
  int layers_ = 0;
};

TEST_F(HelperTest, TurnsCodesAndCrashesIntoStatus) {
  EXPECT_THAT(
      helper_.Run({"nonsense"}, Soon()),
      StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("nonsense")));
  EXPECT_THAT(helper_.Run({"unmount", "bogus"}, Soon()),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("different versions")));
  // A program that does not know the protocol.
  const std::string script = scratch_.dir / "script";
  ASSERT_THAT(
      ReplaceFile(script, "#!/bin/sh\necho rubbish >&2\nkill -6 $$\n", 0755),
      IsOk());
  EXPECT_THAT(Helper(script).Run({"pin"}, Soon()),
              StatusIs(absl::StatusCode::kInternal,
                       AllOf(HasSubstr("pin"), HasSubstr("signal 6"),
                             HasSubstr("rubbish"))));
  ASSERT_THAT(ReplaceFile(script, "#!/bin/sh\necho 0 fine >&2\nexit 1\n", 0755),
              IsOk());
  EXPECT_THAT(Helper(script).Run({"pin"}, Soon()),
              StatusIs(absl::StatusCode::kInternal, HasSubstr("code 1")));
  ASSERT_THAT(ReplaceFile(script, "#!/bin/sh\nexec sleep 1000\n", 0755),
              IsOk());
  EXPECT_THAT(Helper(script).Run({"pin"}, absl::Now() + absl::Milliseconds(50)),
              StatusIs(absl::StatusCode::kDeadlineExceeded, HasSubstr("pin")));
}

TEST_F(HelperTest, MountErrorsNameSubjectAndCause) {
  EXPECT_THAT(mounter_.Mount({"x", "/no/such", "tmpfs", 0, ""}, Soon()),
              StatusIs(absl::StatusCode::kNotFound,
                       AllOf(HasSubstr("/no/such"),
                             HasSubstr("No such file or directory"))));
  EXPECT_THAT(
      mounter_.Mount({"x", Dir("t"), "no-such-fs", 0, ""}, Soon()),
      StatusIs(absl::StatusCode::kNotFound, HasSubstr("No such device")));
  OverlaySpec spec;
  spec.lower = {"/no/such/layer", Layer("a")};
  spec.target = Dir("t");
  EXPECT_THAT(
      mounter_.MountOverlay(spec, Soon()),
      StatusIs(absl::StatusCode::kNotFound, HasSubstr("/no/such/layer")));
  spec.lower = {Layer("b"), Layer("c")};
  spec.options = {"no_such_option=1"};
  EXPECT_THAT(mounter_.MountOverlay(spec, Soon()),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("no_such_option")));
}

TEST_F(HelperTest, OverlayStacksWritesAndKeepsLayers) {
  OverlaySpec spec;
  spec.lower = {Layer("bottom"), Layer("top")};
  spec.upper = Dir("upper");
  spec.work = Dir("work");
  spec.target = Dir("merged");
  spec.options = {"volatile"};
  ASSERT_THAT(mounter_.MountOverlay(spec, Soon()), IsOk());
  EXPECT_THAT(ReadFile(spec.target + "/who"), IsOkAndHolds("top"));
  EXPECT_TRUE(Exists(spec.target + "/only-1"));
  EXPECT_THAT(ReplaceFile(spec.target + "/who", "new", 0644), IsOk());
  EXPECT_THAT(ReadFile(spec.upper + "/who"), IsOkAndHolds("new"));
  EXPECT_THAT(ReadFile(spec.lower[1] + "/who"), IsOkAndHolds("top"));
  EXPECT_THAT(mounter_.Unmount(spec.target, false, Soon()), IsOk());
}

TEST_F(HelperTest, OverlayTakesAnyLayerName) {
  OverlaySpec spec;
  spec.lower = {Layer("a:b,c\\d"), Layer("quote\"\n x"),
                Layer(std::string(250, 'n') + "/" + std::string(250, 'm'))};
  spec.upper = Dir("up:per");
  spec.work = Dir("wo,rk");
  spec.target = Dir("mer\nged");
  ASSERT_THAT(mounter_.MountOverlay(spec, Soon()), IsOk());
  for (const char* file : {"/only-1", "/only-2", "/only-3"}) {
    EXPECT_TRUE(Exists(spec.target + file)) << file;
  }
  EXPECT_THAT(mounter_.ListUnder(spec.target),
              IsOkAndHolds(::testing::ElementsAre(spec.target)));
  EXPECT_THAT(mounter_.Unmount(spec.target, false, Soon()), IsOk());
}

TEST_F(HelperTest, OverlayOfManyLayers) {
  OverlaySpec spec;
  for (int i = 0; i < 200; ++i) {
    spec.lower.push_back(Layer(absl::StrCat("a-layer-with-a-name-", i)));
  }
  spec.target = Dir("merged");
  ASSERT_THAT(mounter_.MountOverlay(spec, Soon()), IsOk());
  EXPECT_TRUE(Exists(spec.target + "/only-1"));
  EXPECT_TRUE(Exists(spec.target + "/only-200"));
  EXPECT_THAT(ReadFile(spec.target + "/who"),
              IsOkAndHolds("a-layer-with-a-name-199"));
  EXPECT_THAT(ReplaceFile(spec.target + "/x", "", 0644),
              StatusIs(absl::StatusCode::kPermissionDenied));
  EXPECT_THAT(mounter_.Unmount(spec.target, false, Soon()), IsOk());
}

TEST_F(HelperTest, SingleReadOnlyLayerIsReadOnlyWhileTheLayerIsNot) {
  OverlaySpec spec;
  spec.lower = {Layer("only")};
  spec.target = Dir("merged");
  ASSERT_THAT(mounter_.MountOverlay(spec, Soon()), IsOk());
  EXPECT_THAT(ReadFile(spec.target + "/who"), IsOkAndHolds("only"));
  EXPECT_THAT(ReplaceFile(spec.target + "/x", "", 0644),
              StatusIs(absl::StatusCode::kPermissionDenied));
  EXPECT_THAT(ReplaceFile(spec.lower[0] + "/x", "", 0644), IsOk());
  EXPECT_THAT(mounter_.Unmount(spec.target, false, Soon()), IsOk());
}

TEST_F(HelperTest, OlderKernelsGetTheSameByMount2) {
  const std::string target = Dir("merged");
  std::vector<std::string> args = {"overlay", "mount2", "target=" + target,
                                   "lower=" + Layer("a:b,c\\d")};
  ASSERT_THAT(helper_.Run(args, Soon()), IsOk());
  EXPECT_TRUE(Exists(target + "/only-1"));
  EXPECT_THAT(ReplaceFile(target + "/x", "", 0644),
              StatusIs(absl::StatusCode::kPermissionDenied));
  EXPECT_THAT(mounter_.Unmount(target, false, Soon()), IsOk());
  // Too long for one page unless by descriptor.
  for (int i = 0; i < 150; ++i) {
    args.push_back("lower=" + Layer(absl::StrCat("a-layer-with-a-name-", i)));
  }
  args.push_back("upper=" + Dir("up:per"));
  args.push_back("work=" + Dir("wo,rk"));
  ASSERT_THAT(helper_.Run(args, Soon()), IsOk());
  EXPECT_TRUE(Exists(target + "/only-1"));
  EXPECT_TRUE(Exists(target + "/only-151"));
  EXPECT_THAT(ReplaceFile(target + "/x", "", 0644), IsOk());
  EXPECT_THAT(mounter_.Unmount(target, false, Soon()), IsOk());
  for (int i = 0; i < 300; ++i) {
    args.push_back("lower=" + Layer(absl::StrCat("more-", i)));
  }
  EXPECT_THAT(
      helper_.Run(args, Soon()),
      StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("451 layers")));
}

TEST_F(HelperTest, ReadOnlyBindKeepsInheritedFlags) {
  const std::string source = Dir("source");
  ASSERT_EQ(::mount("t", source.c_str(), "tmpfs", MS_NOSUID | MS_NODEV, ""), 0);
  MountSpec spec;
  spec.source = source;
  spec.target = Dir("target");
  spec.flags = MS_BIND | MS_RDONLY | MS_NOEXEC;
  ASSERT_THAT(mounter_.Mount(spec, Soon()), IsOk());
  struct statvfs info;
  ASSERT_EQ(statvfs(spec.target.c_str(), &info), 0);
  constexpr unsigned long kWanted =
      ST_RDONLY | ST_NOEXEC | ST_NOSUID | ST_NODEV;
  EXPECT_EQ(info.f_flag & kWanted, kWanted);
  EXPECT_THAT(mounter_.Unmount(spec.target, false, Soon()), IsOk());
  EXPECT_THAT(mounter_.Unmount(source, false, Soon()), IsOk());
}

TEST_F(HelperTest, UnmountDoesNotFollowSymlinks) {
  const std::string mounted = Dir("mounted");
  ASSERT_EQ(::mount("t", mounted.c_str(), "tmpfs", 0, ""), 0);
  const std::string link = scratch_.dir / "link";
  ASSERT_EQ(symlink(mounted.c_str(), link.c_str()), 0);
  EXPECT_THAT(mounter_.Unmount(link, true, Soon()), IsOk());
  EXPECT_THAT(mounter_.ListUnder(mounted), IsOkAndHolds(::testing::SizeIs(1)));
  EXPECT_THAT(mounter_.Unmount(mounted, false, Soon()), IsOk());
}

TEST_F(HelperTest, ProbesAndCreatesPaths) {
  const std::string real = Dir("real");
  ASSERT_EQ(symlink(real.c_str(), (scratch_.dir / "link").c_str()), 0);
  auto found = host_.ProbePath(scratch_.dir / "link", false, Soon());
  ASSERT_THAT(found, IsOk());
  EXPECT_EQ(found->resolved, real);
  const std::string deep = scratch_.dir / "link/a\nb/c";
  EXPECT_THAT(host_.ProbePath(deep, false, Soon()),
              StatusIs(absl::StatusCode::kNotFound));
  found = host_.ProbePath(deep, true, Soon());
  ASSERT_THAT(found, IsOk());
  EXPECT_TRUE(found->created);
  EXPECT_EQ(found->resolved, real + "/a\nb/c");
  struct stat info;
  ASSERT_EQ(stat(deep.c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 07777, 0755u);
  found = host_.ProbePath(deep + "/", true, Soon());
  ASSERT_THAT(found, IsOk());
  EXPECT_FALSE(found->created);

  found = host_.ProbePath("/dev/null", false, Soon());
  ASSERT_THAT(found, IsOk());
  EXPECT_TRUE(found->is_char_device);
  EXPECT_EQ(found->device_major, 1u);
  EXPECT_EQ(found->device_minor, 3u);
  ASSERT_EQ(symlink("/no/such", (scratch_.dir / "dangling").c_str()), 0);
  EXPECT_THAT(host_.ProbePath(scratch_.dir / "dangling", true, Soon()),
              StatusIs(absl::StatusCode::kNotFound, HasSubstr("symlink")));
  EXPECT_THAT(host_.ProbePath("/dev/null/x", true, Soon()),
              StatusIs(absl::StatusCode::kFailedPrecondition));
}

class PinTest : public HelperTest {
 protected:
  PinTest() {
    request_.dir = Dir("pod");
    request_.net = request_.ipc = request_.uts = true;
    request_.pause_program = Program("quoll-pause");
  }
  ~PinTest() override {
    EXPECT_THAT(host_.Unpin(request_.dir, Soon()), IsOk());
  }
  // What a program sees in the pinned namespaces.
  std::string Inside(const std::string& flags, const std::string& script) {
    CommandRequest request;
    request.spawn.argv = {
        "/bin/sh", "-c",
        absl::StrCat("nsenter ", flags, " sh -c '", script, "'")};
    request.spawn.env = {"PATH=/usr/sbin:/usr/bin:/sbin:/bin"};
    request.deadline = Soon();
    const auto result = RunCommand(request);
    EXPECT_THAT(result, IsOk());
    return result.ok() ? result->out + result->err : "";
  }
  std::string Net() { return absl::StrCat("--net=", request_.dir, "/net"); }
  std::string Uts() { return absl::StrCat("--uts=", request_.dir, "/uts"); }
  std::string Ipc() { return absl::StrCat("--ipc=", request_.dir, "/ipc"); }

  PinRequest request_;
};

TEST_F(PinTest, NamespacesAreSetUp) {
  const std::string forward =
      ReadFile("/proc/sys/kernel/shm_rmid_forced").value_or("");
  request_.hostname = "my-pod";
  request_.sysctls = {{"net.ipv4.ip_unprivileged_port_start", "0"},
                      {"net/ipv4/conf/lo/forwarding", "1"},
                      {"kernel.shm_rmid_forced", "1"},
                      {"kernel.sem", "250 32000 100 129"},
                      {"fs.mqueue.msg_max", "20"},
                      {"kernel.domainname", "example"}};
  ASSERT_THAT(host_.Pin(request_, Soon()), IsOk());
  EXPECT_EQ(Inside(Uts(), "hostname; cat /proc/sys/kernel/domainname"),
            "my-pod\nexample\n");
  EXPECT_EQ(Inside(Net(),
                   "cat /proc/sys/net/ipv4/ip_unprivileged_port_start "
                   "/proc/sys/net/ipv4/conf/lo/forwarding"),
            "0\n1\n");
  EXPECT_EQ(Inside(Ipc(),
                   "cat /proc/sys/kernel/shm_rmid_forced "
                   "/proc/sys/fs/mqueue/msg_max"),
            "1\n20\n");
  EXPECT_THAT(Inside(Net(), "ip -o link show lo"), HasSubstr("LOOPBACK,UP"));
  EXPECT_EQ(ReadFile("/proc/sys/kernel/shm_rmid_forced").value_or(""), forward);
}

TEST_F(PinTest, RefusesBadSysctlNames) {
  for (const char* name :
       {"net/../kernel/pid_max", "net.ipv4//x", "net.", "", "..",
        "net/ipv4/./ip_forward", "net.ipv4.no_such", "kernel.shm", "net.ipv4",
        "kernel.msgmax/../pid_max"}) {
    request_.sysctls = {{name, "1"}};
    EXPECT_THAT(host_.Pin(request_, Soon()),
                StatusIs(absl::StatusCode::kInvalidArgument))
        << name;
  }
  request_.sysctls = {{"net.ipv4.ip_unprivileged_port_start", "-7"}};
  EXPECT_THAT(host_.Pin(request_, Soon()),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("ip_unprivileged_port_start")));
  EXPECT_THAT(ListDirectory(request_.dir), IsOkAndHolds(::testing::IsEmpty()));
}

TEST_F(PinTest, PauseIsTheInitOfThePod) {
  ASSERT_THAT(ReplaceFile(scratch_.dir / "procs", "", 0644), IsOk());
  request_.pid = true;
  request_.pause_cgroup_procs_files = {scratch_.dir / "procs"};
  const auto pinned = host_.Pin(request_, Soon());
  ASSERT_THAT(pinned, IsOk());
  EXPECT_THAT(ReadFile(scratch_.dir / "procs"), IsOkAndHolds("0"));
  const auto pause = Pidfd::Open(pinned->pause);
  ASSERT_THAT(pause, IsOk());
  const std::string proc = absl::StrCat("/proc/", pinned->pause.pid);
  EXPECT_THAT(ReadFile(proc + "/comm"), IsOkAndHolds("quoll-pause\n"));
  EXPECT_THAT(ReadFile(proc + "/status"), IsOkAndHolds(HasSubstr("\t1\n")));
  struct stat pin;
  struct stat own;
  for (const char* kind : {"net", "ipc", "uts", "pid"}) {
    ASSERT_EQ(stat(absl::StrCat(request_.dir, "/", kind).c_str(), &pin), 0);
    ASSERT_EQ(stat(absl::StrCat(proc, "/ns/", kind).c_str(), &own), 0);
    EXPECT_EQ(pin.st_ino, own.st_ino) << kind;
  }
  // Nothing of ours is open in it but /dev/null.
  EXPECT_THAT(ListDirectory(proc + "/fd"),
              IsOkAndHolds(::testing::ElementsAre("0", "1", "2")));
  // It reaps: an orphan of the namespace does not stay a zombie.
  Inside(absl::StrCat("--pid=", request_.dir, "/pid"), "(true &) ; true");
  EXPECT_FALSE(pause->HasExited());
  EXPECT_THAT(host_.Unpin(request_.dir, Soon()), IsOk());
  EXPECT_TRUE(pause->HasExited());
}

TEST_F(PinTest, PauseEndsOnSigterm) {
  request_.pid = true;
  const auto pinned = host_.Pin(request_, Soon());
  ASSERT_THAT(pinned, IsOk());
  const auto pause = Pidfd::Open(pinned->pause);
  ASSERT_THAT(pause, IsOk());
  EXPECT_THAT(pause->Signal(SIGTERM), IsOk());
  EXPECT_THAT(pause->AwaitExit(Soon()), IsOk());
}

TEST_F(PinTest, AFailedStepLeavesNothing) {
  request_.pid = true;
  const struct {
    std::string program;
    std::string cgroup;
    const char* words;
  } cases[] = {
      {"/no/such/pause", "", "/no/such/pause"},
      {request_.pause_program, "/no/such/procs", "/no/such/procs"},
  };
  for (const auto& c : cases) {
    request_.pause_program = c.program;
    request_.pause_cgroup_procs_files.clear();
    if (!c.cgroup.empty()) {
      request_.pause_cgroup_procs_files = {c.cgroup};
    }
    EXPECT_THAT(host_.Pin(request_, Soon()),
                StatusIs(absl::StatusCode::kNotFound, HasSubstr(c.words)));
    EXPECT_THAT(ListDirectory(request_.dir),
                IsOkAndHolds(::testing::IsEmpty()));
  }
}

TEST_F(PinTest, AMissedDeadlineLeavesNothing) {
  // pause waits in the middle: a FIFO that nobody reads stops the open.
  const std::string fifo = scratch_.dir / "procs";
  ASSERT_EQ(mkfifo(fifo.c_str(), 0600), 0);
  request_.pid = true;
  request_.pause_cgroup_procs_files = {fifo};
  EXPECT_THAT(
      host_.Pin(request_, absl::Now() + absl::Milliseconds(300)),
      StatusIs(absl::StatusCode::kDeadlineExceeded, HasSubstr(request_.dir)));
  EXPECT_THAT(ListDirectory(request_.dir), IsOkAndHolds(::testing::IsEmpty()));
}

TEST_F(PinTest, UnpinReportsWhatIsNotItsOwn) {
  ASSERT_THAT(host_.Pin(request_, Soon()), IsOk());
  ASSERT_THAT(ReplaceFile(request_.dir + "/notes", "", 0644), IsOk());
  EXPECT_THAT(host_.Unpin(request_.dir, Soon()),
              StatusIs(absl::StatusCode::kFailedPrecondition,
                       HasSubstr("Directory not empty")));
  ASSERT_EQ(unlink((request_.dir + "/notes").c_str()), 0);
}

TEST_F(PinTest, WorksOnASharedMount) {
  ASSERT_EQ(::mount(nullptr, scratch_.dir.path().c_str(), nullptr, MS_SHARED,
                    nullptr),
            0);
  ASSERT_THAT(host_.Pin(request_, Soon()), IsOk());
  EXPECT_THAT(host_.Unpin(request_.dir, Soon()), IsOk());
  EXPECT_THAT(mounter_.ListUnder(request_.dir),
              IsOkAndHolds(::testing::IsEmpty()));
}

}  // namespace
}  // namespace quoll::os
